"""Run experiments on another machine with one command, and bring them back as if they had run here.

    sentiment remote run -n slow -- -S train.l2=0.01
    sentiment remote run -n grid -- -S train.l2=0.01,0.1 -S train.class_weight=none,balanced
    sentiment remote run --on ssh gpu-box -- -S finetune.epochs=2
    sentiment remote run --on sagemaker --role arn:aws:iam::123456789012:role/sagemaker --spot -- -S train.seed=2
    sentiment remote run --on command -- -S train.seed=2 > /tmp/job.sh
    sentiment remote list
    sentiment remote fetch 20260131-093000-1a2b3c

What follows -- are arguments of `dvc exp run`; several values of -S make a grid. The job goes through the storage
remote (`dvc remote`), below jobs/ID/: closing this terminal loses nothing, and `fetch` brings the experiments later.
docs/remote.md has more.
"""

import argparse
import json
import logging
import sys
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from sentiment.cli.arguments import positive
from sentiment.common.errors import StorageError, one_line
from sentiment.remote import client
from sentiment.remote.backends import backend_for
from sentiment.remote.job import LOST, JobFolder, job_lines
from sentiment.remote.runner import FAILED, FINISHED, STOPPED
from sentiment.storage.s3 import STORAGE, Remote

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of `sentiment remote`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run = actions.add_parser("run", help="run experiments elsewhere and bring them back")
    actions.add_parser("list", help="list the jobs, newest last")
    logs = actions.add_parser("logs", help="print the log of a job")
    fetch = actions.add_parser("fetch", help="bring the experiments of a job, and show its status")
    stop = actions.add_parser("stop", help="stop a job; what is complete is pushed")
    for action in (logs, fetch, stop):
        action.add_argument("id", metavar="ID", help="of the job, as `run` and `list` print it")
    for action in (run, fetch):
        action.add_argument("--no-data", action="store_true", help="bring metrics and params, not the outputs")
    logs.add_argument("-f", "--follow", action="store_true", help="until the job ends")
    where = "local, ssh HOST, sagemaker, or command"
    run.add_argument("--on", nargs="+", default=["local"], metavar="BACKEND", help=where)
    run.add_argument("-n", "--name", help="of the experiment; of a grid: NAME-1, NAME-2, ...")
    run.add_argument("--detach", action="store_true", help="print the job's id and return when it is sent")
    run.add_argument("--python", type=Path, help="an interpreter there that has requirements.txt installed")
    run.add_argument("--heartbeat", type=positive, default=15, metavar="SECONDS", help="(default: %(default)s)")
    run.add_argument("arguments", nargs="*", metavar="-- ARGUMENTS", help="of dvc exp run")
    group = run.add_argument_group("on SageMaker")
    group.add_argument("--role", default="", metavar="ARN", help="of the job; reads and writes the bucket")
    group.add_argument("--instance-type", default="ml.g5.xlarge", help="(default: %(default)s)")
    group.add_argument("--spot", action="store_true", help="use spare capacity")
    group.add_argument("--max-hours", type=positive, default=12, help="of computing (default: %(default)s)")
    group.add_argument("--max-wait-hours", type=positive, default=24, help="with --spot (default: %(default)s)")
    more = "more of CreateTrainingJob's request, such as VpcConfig and Tags"
    group.add_argument("--request", type=json.loads, default={}, metavar="JSON", help=more)


def main(args: argparse.Namespace) -> int:
    """Run one sub-command and return its exit status: 1 where a job failed, was stopped or is lost.

    Raises:
        StorageError: the storage or SageMaker refuses, or does not answer.
    """
    remote = Remote.read(STORAGE)
    try:
        if args.action == "run":
            return run(args)
        if args.action == "list":
            sys.stdout.write("".join(f"{line}\n" for line in job_lines(remote)))
            return 0
        return act(args, JobFolder(remote, args.id))
    except (BotoCoreError, ClientError) as error:
        advice = "`sentiment doctor` checks the storage"
        raise StorageError(f"{remote.url} at {remote.endpoint}: {one_line(error)}; {advice}") from None


def run(args: argparse.Namespace) -> int:
    """Send a job, start it, follow it, and bring its experiments; return the exit status."""
    backend = backend_for(args.on, args)
    backend.check()
    runs = client.experiments(args.arguments, args.name)
    begun = time.monotonic()
    folder = client.submit(args.on, backend, runs, args.heartbeat)
    log.info("job %s: sent in %.1f s", folder.id, time.monotonic() - begun)
    where = backend.start(folder)
    if args.on == ["command"]:
        sys.stdout.write(f"{where}\n")
        return 0
    log.info("job %s: %s", folder.id, where)
    if args.detach:
        sys.stdout.write(f"{folder.id}\n")
        return 0
    try:
        status = client.follow(folder, backend)
    except KeyboardInterrupt:
        log.info("job %s goes on; `sentiment remote logs -f`, `fetch` and `stop` take its id", folder.id)
        raise
    if names := client.fetch(folder, not args.no_data):
        log.info("job %s: brought %s (`sentiment experiments`, `dvc exp apply`)", folder.id, ", ".join(names))
    if status.state != FINISHED:
        log.error("error: job %s %s", folder.id, status.line)
        return 1
    return 0


def act(args: argparse.Namespace, folder: JobFolder) -> int:
    """Print the log of a job, bring what it has pushed so far, or stop it; return the exit status."""
    job = folder.job()
    if args.action == "stop":
        log.info("job %s: %s", args.id, client.stop(folder, backend_for(job["on"])))
        return 0
    if args.action == "logs" and not args.follow:
        client.write_log(folder)
        return 0
    if args.action == "logs":
        status = client.follow(folder, backend_for(job["on"]))
        log.info("job %s %s", args.id, status.line)
        return 0 if status.state == FINISHED else 1
    status = folder.status(job["heartbeat_s"])
    names = client.fetch(folder, not args.no_data)
    log.info("job %s: %s; brought %s", args.id, status.line, ", ".join(names) or "no experiment")
    return 1 if status.state in (FAILED, STOPPED, LOST) else 0
