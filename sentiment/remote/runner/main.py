"""Runs one job: `python runner.pyz --bucket BUCKET --prefix PREFIX/jobs/ID --work FOLDER`.

Credentials come from boto3's chain. Exit status: 0 finished, 1 failed, 143 stopped.
"""

import argparse
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from .command import Commands
from .heartbeat import Heartbeat
from .job import JobRun, read_job
from .layout import FAILED, FINISHED, STOPPED
from .log import Log
from .store import Store, StoreError, with_retries

EXIT = {FINISHED: 0, FAILED: 1, STOPPED: 128 + signal.SIGTERM}
MAX_REASON = 1_024  # characters of a failure file that SageMaker shows


def main() -> None:
    """Run the job that the arguments name."""
    parser = argparse.ArgumentParser("runner.pyz", description=__doc__)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--prefix", required=True, help="of the job: its id is the last component")
    parser.add_argument("--work", required=True, type=Path, help="a folder of its own, made where it is missing")
    parser.add_argument("--endpoint", help="of S3, where it is not AWS")
    parser.add_argument("--region")
    parser.add_argument("--python", type=Path, help="has the lock already; otherwise an environment is made")
    parser.add_argument("--failure-file", type=Path, help="gets the reason of a failure, as SageMaker reads it")
    args = parser.parse_args()
    try:
        sys.exit(run(args))
    except StoreError as error:
        sys.exit(f"error: {error}")


def run(args: argparse.Namespace) -> int:
    """Run the job, and leave its last status and the end of its log in the storage; return the exit status."""
    args.work.mkdir(parents=True, exist_ok=True)
    store = Store.connect(args.bucket, args.prefix, args.endpoint, args.region)
    job = read_job(store)
    log = Log(store, args.work / "log.txt")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1", "GIT_TERMINAL_PROMPT": "0"}
    commands = Commands(log, args.work / "project", environment)

    def on_signal(number: int, frame: FrameType | None) -> None:
        commands.stop(f"stopped by {signal.Signals(number).name}")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    beat = Heartbeat(store, log, job["heartbeat_s"], commands.stop)
    with beat:
        try:
            state = JobRun(job, store, log, beat, commands).run(args.work.resolve(), args.python)
        except Exception as error:
            log.write(traceback.format_exc().encode())
            state = FAILED
            beat.set(state=state, message=f"the runner failed: {type(error).__name__}: {' '.join(str(error).split())}")
    with_retries(log.upload, "the end of the log")
    with_retries(beat.put, "the last status")
    if state == FAILED and args.failure_file:
        args.failure_file.parent.mkdir(parents=True, exist_ok=True)
        args.failure_file.write_text(str(beat.get("message"))[:MAX_REASON], encoding="utf-8")
    if state == FINISHED:
        shutil.rmtree(args.work / "project", ignore_errors=True)
    return EXIT[state]
