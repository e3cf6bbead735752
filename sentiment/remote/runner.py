"""Run one job on another machine: `python runner.py --bucket BUCKET --prefix PREFIX/jobs/ID --work FOLDER`.

The client sends this file alone, and it runs before anything is installed: standard library and boto3 only. It takes
the project from the job's folder in S3, installs the lock, runs each experiment, pushes outputs, and brings the
references back. Credentials come from boto3's chain. Exit status: 0 finished, 1 failed, 143 stopped.

botocore repeats each request while the storage does not answer, for some five minutes, here and in the commands of DVC,
so no step retries by itself.
"""

from __future__ import annotations  # an old Python then gets as far as the message that it is too old

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# objects below jobs/ID/; the client uses the same names
JOBS = "jobs"
INPUT = "input"  # what SageMaker mounts as a channel
JOB, BUNDLE, RUNNER = "input/job.json", "input/repo.bundle", "input/runner.py"
STATUS, LOG, STOP, EXPERIMENTS = "status.json", "log.txt", "stop", "experiments.bundle"

PREPARING, RUNNING, PUSHING = "preparing", "running", "pushing"
INTERRUPTED = "interrupted"  # the service starts the runner again
FINISHED, FAILED, STOPPED = "finished", "failed", "stopped"
FINAL = (FINISHED, FAILED, STOPPED)
EXIT = {FINISHED: 0, FAILED: 1, STOPPED: 143, INTERRUPTED: 143}  # 143: as after SIGTERM

EXPERIMENT_REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/([A-Za-z0-9][A-Za-z0-9_.-]{0,99})")
CONNECT_TIMEOUT, READ_TIMEOUT, MAX_ATTEMPTS = 5, 30, 20  # seconds, seconds, attempts with up to 20 s between them
# for DVC: "standard" gives up early where many requests fail at once; the pause doubles with each attempt
DVC_ENVIRONMENT = {"AWS_RETRY_MODE": "legacy", "AWS_MAX_ATTEMPTS": "10", "DVC_NO_ANALYTICS": "1"}
LOG_S = 2.0  # seconds between two uploads of the log, while there are new lines
GRACE_S = 20.0  # between SIGINT and SIGKILL
INSTALL_S, PUSH_S, GIT_S = 3_600.0, 3_600.0, 300.0
SAVE_EVERY_S = 60.0  # a push takes seconds, and quick experiments of a grid share one
FINAL_PUSH_S = 90.0  # of the 120 s that a spot instance has after SIGTERM
OLDEST_PYTHON = (3, 11)
MIN_SECRET = 8  # characters; a shorter one, such as "test" of a local server, would hide words
# a guardian in a process group of its own: its standard input ends when the runner is gone, even by SIGKILL
GUARDIAN = 'read -r word || kill -s KILL -- "-$0"'


class JobError(Exception):
    """A step of the job failed; the message says which one and why."""


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """The job was asked to stop."""


class Store:
    """The objects below one prefix of a bucket, through boto3: s3fs would need what is not installed yet."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self.bucket, self.prefix = bucket, prefix.strip("/")

    def key(self, name: str) -> str:
        """Return the key of an object of this folder."""
        return f"{self.prefix}/{name}"

    def put(self, name: str, body: bytes) -> None:
        """Write an object; raises botocore's errors."""
        self._client.put_object(Bucket=self.bucket, Key=self.key(name), Body=body)

    def object(self, name: str, **request: str) -> dict[str, Any] | None:
        """Return an object as boto3's `get_object` does, None where there is none; raises botocore's errors."""
        try:
            answer: dict[str, Any] = self._client.get_object(Bucket=self.bucket, Key=self.key(name), **request)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "InvalidRange"):
                return None
            raise
        return answer

    def get(self, name: str, begin: int = 0) -> bytes:
        """Return the content of an object from a byte on, nothing where there is none; raises botocore's errors."""
        answer = self.object(name, **({"Range": f"bytes={begin}-"} if begin else {}))
        return b"" if answer is None else bytes(answer["Body"].read())


class Log:
    """What a job has written: a local file that commands append to, and, without secrets, an object in the storage.

    Args:
        store: of the job; an earlier runner of the same job may have left its log there.
        path: of the local file, which only its owner can read.
        secrets: returns what must not be read in the storage; keys of a role change while the job runs.
    """

    def __init__(self, store: Store, path: Path, secrets: Callable[[], set[str]]) -> None:
        self._store, self._path, self._get_secrets = store, path, secrets
        self._secrets: set[str] = set()
        self._uploaded = 0
        path.touch(0o600)
        path.write_bytes(store.get(LOG))
        self.file = path.open("ab", buffering=0)

    @property
    def size(self) -> int:
        """Return the size of the local file in bytes."""
        return self._path.stat().st_size

    def line(self, text: str) -> None:
        """Write a line of the runner's own."""
        self.file.write(f"remote: {text}\n".encode())

    def error_after(self, position: int) -> str:
        """Return a stage's last line of an error after a position of the file, DVC's first where no stage has any."""
        lines = self._path.read_bytes()[position:].decode("utf-8", "replace").splitlines()
        of_stages = [line for line in lines if line.startswith("error: ")]
        of_dvc = [line for line in lines if line.startswith("ERROR: ")]
        return next((line[len("error: ") :].strip() for line in (*of_stages[-1:], *of_dvc)), "")

    def upload(self, is_end: bool = False) -> None:
        """Write the object where there is something new, all of it: S3 cannot append; raises botocore's errors."""
        text = self._path.read_bytes()
        if not is_end:
            text = text[: text.rfind(b"\n") + 1]  # half a line could hold half a secret
        if len(text) > self._uploaded:
            self._store.put(LOG, self.without_secrets(text.replace(b"\r", b"\n")))
            self._uploaded = len(text)

    def without_secrets(self, text: bytes) -> bytes:
        """Return a text with asterisks in the place of each secret."""
        secrets = self._secrets | self._get_secrets()
        self._secrets = secrets  # another thread may come here at the same time
        for secret in secrets:
            text = text.replace(secret.encode(), b"***")
        return text


class JobRun:
    """One job on this machine: its steps, each command of them, and a heartbeat from the start to `close`.

    Args:
        job: as the client wrote it.
        store: of the job.
        log: of the job.
        work: folder of the job.
        saved: of the status that an earlier runner of the same job wrote: `done`, how many experiments are saved,
            `failures` of these, and their names, `experiments`. This runner goes on after them.
    """

    def __init__(self, job: dict[str, Any], store: Store, log: Log, work: Path, saved: Mapping[str, Any]) -> None:
        self._job, self._store, self._log = job, store, log
        self._work, self._project = work, work / "project"
        self._environment = {**DVC_ENVIRONMENT, **os.environ, "PYTHONUNBUFFERED": "1", "GIT_TERMINAL_PROMPT": "0"}
        self._python = ""
        self.status: dict[str, Any] = {"state": PREPARING, **saved}
        self._done = int(saved.get("done", 0))
        self._failures = list(saved.get("failures", []))
        self._stop_reason, self._by_signal, self._asked = "", False, threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def run(self, python: Path | None, restarts: bool = False) -> None:
        """Run all steps; the status then has the final state.

        Args:
            python: an interpreter that has the lock; None makes an environment.
            restarts: whether the service starts the runner again after a signal.
        """
        try:
            try:
                self._prepare(python)
                self._run_experiments()
                state, message = (FAILED if self._failures else FINISHED), "; ".join(self._failures)
            except Stopped:
                message = self._save_after_stop()
                # `remote stop` ends in a signal, too, where a service sends it
                is_asked = not self._by_signal or self._store.object(STOP)
                state = INTERRUPTED if restarts and not is_asked else STOPPED
        except JobError as error:
            state, message = FAILED, "; ".join([*self._failures, str(error)])
        except Exception as error:
            self._log.file.write(traceback.format_exc().encode())
            state, message = FAILED, f"{type(error).__name__}: {' '.join(str(error).split())}"
        self._set(state=state, message=message)
        self._log.line(f"{state}{': ' if message else ''}{message}")

    def stop(self, reason: str, by_signal: bool = False) -> None:
        """Ask to stop, once: the command that runs is ended, and what is complete is saved."""
        if not self._stop_reason:  # the request is heard again with every heartbeat
            self._stop_reason, self._by_signal = reason, by_signal
            self._asked.set()

    def close(self) -> None:
        """End the heartbeat, then write the end of the log and the last status; raises botocore's errors."""
        self._end.set()
        self._thread.join()
        self._log.upload(is_end=True)
        self._put_status()

    def _beat(self) -> None:
        """Write status and new lines of the log to the storage every few seconds, and read there whether to stop."""
        seconds, next_status = float(self._job["heartbeat_s"]), 0.0
        while not self._end.is_set():
            with suppress(Exception):  # botocore has tried for minutes; the next beat tries again
                begun = time.monotonic()
                self._log.upload()
                if begun >= next_status:
                    self._put_status()
                    next_status = begun + seconds
                    if self._store.object(STOP):
                        self.stop("stopped by `sentiment remote stop`")
            self._end.wait(min(LOG_S, seconds))

    def _set(self, **status: object) -> None:
        self.status = {**self.status, **status}

    def _put_status(self) -> None:
        self._store.put(STATUS, self._log.without_secrets(json.dumps(self.status, indent=2).encode()))

    def _prepare(self, python: Path | None) -> None:
        """Check out the commit, bring what an earlier runner has saved, install the lock."""
        bundle = self._work / "repo.bundle"
        bundle.write_bytes(self._store.get(BUNDLE))
        shutil.rmtree(self._project, ignore_errors=True)
        self._project.mkdir()
        self._git("init", "-q")
        self._git("fetch", "-q", str(bundle), "HEAD")
        self._git("checkout", "-q", "--detach", self._job["commit"])
        if self._done and (saved := self._store.get(EXPERIMENTS)):
            bundle.write_bytes(saved)
            self._git("fetch", "-q", str(bundle), "+refs/exps/*:refs/exps/*")
        for key in ("name", "email"):
            self._git("config", f"user.{key}", self._job["author"][key])
        (self._project / ".dvc" / "config.local").write_text(self._job["dvc_config"], encoding="utf-8")
        python = python.expanduser().absolute() if python else self._install()
        self._environment["PATH"] = f"{python.parent}:{self._environment['PATH']}"
        self._python = str(python)

    def _install(self) -> Path:
        """Return the Python of an environment that has the lock; environments are kept by the hash of the lock."""
        lock = self._project / "requirements.txt"
        name = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
        folder = cache_folder() / name
        python = folder / "bin" / "python"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_suffix(".lock").open("w") as file:
            self._lock(file)
            if (folder / "installed").exists():
                self._log.line(f"environment {name}: present")
                return python
            self._log.line(f"environment {name}: installing {lock.name}")
            begin = self._log.size
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(lock)]
            for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], pip):
                if status := self._command(*command, limit=INSTALL_S):
                    reason = self._log.error_after(begin)
                    raise JobError(f"{lock.name} could not be installed (exit status {status}): {reason}")
            (folder / "installed").touch()
        return python

    def _lock(self, file: IO[str]) -> None:
        """Lock a file; wait while another job, which installs the same, has it."""
        end = time.monotonic() + INSTALL_S
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._asked.wait(1):
                    raise Stopped from None
                if time.monotonic() > end:
                    raise JobError(f"{file.name}: another job has it for {INSTALL_S:.0f} s") from None

    def _run_experiments(self) -> None:
        runs, saved = self._job["runs"], time.monotonic()
        for number, arguments in enumerate(runs[self._done :], self._done + 1):
            self._set(state=RUNNING, run=number)
            self._log.line(f"experiment {number} of {len(runs)}: dvc exp run {' '.join(arguments)}")
            begin = self._log.size
            if status := self._command(self._python, "-m", "dvc", "exp", "run", *arguments):
                self._failures.append(f"experiment {number}: {self._log.error_after(begin) or f'exit status {status}'}")
            self._done = number
            if number == len(runs) or time.monotonic() - saved > SAVE_EVERY_S:
                self._save(PUSH_S)
                saved = time.monotonic()
            self._git("reset", "--quiet", "--hard")

    def _save(self, limit: float) -> None:
        """Push data, then bring references: a reference without its data would be of no use."""
        self._set(state=PUSHING)
        begin = self._log.size
        if self._command(self._python, "-m", "sentiment", "push", limit=limit):
            raise JobError(f"dvc push failed: {self._log.error_after(begin)}")
        lines = self._git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
        # the references of the experiments here by their names
        refs = {match[1]: match[0] for line in lines if (match := EXPERIMENT_REF.fullmatch(line))}
        if refs:
            bundle = self._work / "experiments.bundle"
            # without the history that they start from
            self._git("bundle", "create", "-q", str(bundle), *refs.values(), f"^{self._job['commit']}")
            self._store.put(EXPERIMENTS, bundle.read_bytes())
        self._set(experiments=sorted(refs), done=self._done, failures=list(self._failures))
        self._put_status()

    def _save_after_stop(self) -> str:
        """Push what is complete; return why the job stopped, and what failed then."""
        self._asked.clear()
        if not self._python or not (self._project / ".dvc" / "cache").is_dir():
            return self._stop_reason
        self._log.line(f"{self._stop_reason}; pushing what is complete")
        try:
            self._save(FINAL_PUSH_S)
        except JobError as error:
            return f"{self._stop_reason}; {error}"
        return f"{self._stop_reason}; complete stages are pushed"

    def _git(self, *arguments: str) -> str:
        """Run a git command and return its output; raises JobError with its message."""
        done = subprocess.run(["git", *arguments], cwd=self._project, capture_output=True, text=True, timeout=GIT_S)
        if done.returncode:
            raise JobError(f"git {arguments[0]}: {' '.join(done.stderr.split())}")
        return done.stdout.strip()

    def _command(self, *arguments: str, limit: float = float("inf")) -> int:
        """Run a command, its lines to the log; return its exit status, -9 where it ran longer than `limit` seconds.

        Raises:
            Stopped: the job was asked to stop; the command and its children have ended.
        """
        process = subprocess.Popen(
            arguments, cwd=self._project, env=self._environment, stdin=subprocess.DEVNULL,
            stdout=self._log.file, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        guardian = ["sh", "-c", GUARDIAN, str(process.pid)]
        with subprocess.Popen(guardian, stdin=subprocess.PIPE, start_new_session=True) as guard:
            try:
                end = time.monotonic() + limit
                while process.poll() is None and time.monotonic() < end:
                    if self._asked.wait(0.2):
                        os.killpg(process.pid, signal.SIGINT)
                        with suppress(subprocess.TimeoutExpired):
                            process.wait(GRACE_S)
                        break
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # its children, too
                process.wait()
                guard.communicate(b"x\n")
        if self._asked.is_set():
            raise Stopped
        return process.returncode


def cache_folder() -> Path:
    """Return the folder of what later jobs on this machine use again."""
    return Path(os.environ.get("SENTIMENT_REMOTE_CACHE") or "~/.cache/sentiment-remote").expanduser()


def secrets_of(session: Any) -> set[str]:
    """Return the secret key and token that a boto3 session signs with now, and those of every profile here."""
    found = [os.environ.get("AWS_SECRET_ACCESS_KEY"), os.environ.get("AWS_SESSION_TOKEN")]
    for profile in session._session.full_config["profiles"].values():  # a role's source profile signs, too
        found += [profile.get("aws_secret_access_key"), profile.get("aws_session_token")]
    if credentials := session.get_credentials():
        frozen = credentials.get_frozen_credentials()
        found += [frozen.secret_key, frozen.token]
    return {secret for secret in found if secret and len(secret) >= MIN_SECRET}


def main() -> None:
    """Run the job that the arguments name."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"error: Python {sys.version.split()[0]} runs here, 3.11 or newer is needed; choose another image")
    parser = argparse.ArgumentParser("runner.py", description=__doc__)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--prefix", required=True, help="of the job: its id is the last component")
    parser.add_argument("--work", required=True, type=Path, help="a folder of its own, made where it is missing")
    parser.add_argument("--endpoint", help="of S3, where it is not AWS")
    parser.add_argument("--region")
    parser.add_argument("--python", type=Path, help="has the lock already; otherwise an environment is made")
    parser.add_argument("--restarts", action="store_true", help="the service starts the runner again after a signal")
    try:
        sys.exit(run(parser.parse_args()))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")


def run(args: argparse.Namespace) -> int:
    """Run the job, and leave its last status and the end of its log in the storage; return the exit status.

    Raises:
        BotoCoreError, ClientError: the storage does not answer.
    """
    work = args.work.expanduser().resolve()
    work.mkdir(parents=True, exist_ok=True)
    session = boto3.session.Session()
    retries: Any = {"mode": "standard", "total_max_attempts": MAX_ATTEMPTS}
    config = Config(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retries=retries)
    client = session.client("s3", endpoint_url=args.endpoint, region_name=args.region, config=config)
    store = Store(client, args.bucket, args.prefix)
    job = store.get(JOB)
    if not job:
        sys.exit(f"error: s3://{args.bucket}/{store.key(JOB)}: no such job")
    earlier = json.loads(store.get(STATUS) or b"{}")
    log = Log(store, work / "log.txt", lambda: secrets_of(session))
    is_started_again = earlier.get("state") not in FINAL  # else somebody repeats the job
    saved = {key: earlier[key] for key in ("done", "failures", "experiments") if is_started_again and key in earlier}
    job_run = JobRun(json.loads(job), store, log, work, saved)

    def on_signal(number: int, frame: FrameType | None) -> None:
        job_run.stop(f"stopped by {signal.Signals(number).name}", by_signal=True)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    job_run.run(args.python, args.restarts)
    job_run.close()
    state = str(job_run.status["state"])
    if state == FINISHED:
        shutil.rmtree(work / "project", ignore_errors=True)
    return EXIT[state]


if __name__ == "__main__":
    main()
