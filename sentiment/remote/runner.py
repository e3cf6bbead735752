"""Run one job on another machine: `python runner.py --bucket BUCKET --prefix PREFIX/jobs/ID --work FOLDER`.

The client sends this file alone, and it runs before anything is installed: standard library and boto3 only. It takes
the project from the job's folder in S3, installs the lock, runs each experiment, pushes outputs, and brings the
references back. Credentials come from boto3's chain. Exit status: 0 finished, 1 failed, 143 stopped.

botocore repeats each request while the storage does not answer, for some five minutes, so no step retries by itself.
"""

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
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

# objects below jobs/ID/; the client uses the same names
JOBS = "jobs"
INPUT = "input"  # what SageMaker mounts as a channel
JOB, BUNDLE, RUNNER = "input/job.json", "input/repo.bundle", "input/runner.py"
STATUS, STOP, EXPERIMENTS = "status.json", "stop", "experiments.bundle"

PREPARING, RUNNING, PUSHING = "preparing", "running", "pushing"
INTERRUPTED = "interrupted"  # the service starts the runner again
FINISHED, FAILED, STOPPED = "finished", "failed", "stopped"
FINAL = (FINISHED, FAILED, STOPPED)
EXIT = {FINISHED: 0, FAILED: 1, STOPPED: 128 + signal.SIGTERM, INTERRUPTED: 128 + signal.SIGTERM}

HEARTBEAT_S = 15.0
MISSED_HEARTBEATS = 4  # after as many the runner counts as gone
EXPERIMENT_REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/([A-Za-z0-9][A-Za-z0-9_.-]{0,99})")
REMOTE_SETTINGS = ("url", "endpointurl", "region", "use_ssl", "ssl_verify")  # of DVC; no secrets

CONNECT_TIMEOUT, READ_TIMEOUT, MAX_ATTEMPTS = 5, 30, 20  # seconds, seconds, attempts with up to 20 s between them
LOG_S = 2.0  # seconds between parts of the log, while there are new lines
MAX_LINE = 65_536  # bytes; a longer line is sent in pieces
GRACE_S = 20.0  # between SIGINT and SIGKILL
INSTALL_S, PUSH_S = 3_600.0, 3_600.0
SAVE_EVERY_S = 60.0  # a push takes seconds, and quick experiments of a grid share one
FINAL_PUSH_S = 90.0  # of the 120 s that a spot instance has after SIGTERM
OLDEST_PYTHON = (3, 11)
MAX_REASON = 1_024  # characters of a failure file that SageMaker shows
# A guardian in a process group of its own: its standard input ends when the runner is gone, even by SIGKILL.
GUARDIAN = """
import os, signal, sys
if not os.read(0, 1):
    try:
        os.killpg(int(sys.argv[1]), signal.SIGKILL)
    except ProcessLookupError:
        sys.exit()
"""


class JobError(Exception):
    """A step of the job failed; the message says which one and why."""


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """The job was asked to stop; the message says by whom."""


def log_part(number: int) -> str:
    """Return the name of one part of the log; S3 cannot append, so each part is an object."""
    return f"log/{number:06d}.txt"


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

    def object(self, name: str) -> dict[str, Any] | None:
        """Return an object as boto3's `get_object` does, None where there is none; raises botocore's errors."""
        from botocore.exceptions import ClientError

        try:
            answer: dict[str, Any] = self._client.get_object(Bucket=self.bucket, Key=self.key(name))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return None
            raise
        return answer

    def get(self, name: str) -> bytes | None:
        """Return the content of an object, None where there is none; raises botocore's errors."""
        answer = self.object(name)
        return None if answer is None else bytes(answer["Body"].read())

    def need(self, name: str) -> bytes:
        """Return the content of an object; raises JobError where there is none."""
        content = self.get(name)
        if content is None:
            raise JobError(f"s3://{self.bucket}/{self.key(name)}: no such object")
        return content


class Log:
    """What a job has written, without secrets: a local file, and numbered objects in the storage.

    Args:
        store: of the job.
        path: of the local file.
        secrets: returns what must not be read in the log; keys of a role change while the job runs.
        parts: that the storage has at least, where an earlier runner of the same job wrote some.
    """

    def __init__(self, store: Store, path: Path, secrets: Callable[[], set[str]], parts: int = 0) -> None:
        self._store = store
        self._file = path.open("ab")
        self._get_secrets = secrets
        self._secrets = secrets()
        self._lock = threading.Lock()
        self._uploading = threading.Lock()
        self._pending = b""
        self.parts = parts
        while store.object(log_part(self.parts + 1)):  # it was killed before its status counted them
            self.parts += 1
        self.last_error = ""  # a stage's last line of an error; DVC's first one where no stage has any

    def line(self, text: str) -> None:
        """Write a line of the runner's own."""
        self.write(f"remote: {text}\n".encode())

    def write(self, line: bytes) -> None:
        """Write a complete line, or a piece of a very long one."""
        line = self.without_secrets(line)
        if line.startswith(b"error: ") or (line.startswith(b"ERROR: ") and not self.last_error):
            self.last_error = line.decode("utf-8", "replace").strip()[len("error: ") :]
        with self._lock:
            self._pending += line
            self._file.write(line)
            self._file.flush()

    def upload(self) -> None:
        """Put what is new into the storage as the next part; raises botocore's errors, after which nothing is lost."""
        self._secrets |= self._get_secrets()
        with self._uploading:
            with self._lock:
                part = self._pending
            if not part:
                return
            self._store.put(log_part(self.parts + 1), self.without_secrets(part))
            with self._lock:
                self._pending = self._pending[len(part) :]
                self.parts += 1

    def without_secrets(self, text: bytes) -> bytes:
        """Return a text with asterisks in the place of each secret."""
        for secret in self._secrets:
            text = text.replace(secret.encode(), b"***")
        return text


class Commands:
    """Runs one command at a time, its lines to the log; ends it when the job is asked to stop, or the runner dies."""

    def __init__(self, log: Log, folder: Path, environment: dict[str, str]) -> None:
        self._log, self._folder = log, folder
        self.environment = environment
        self.reason = ""
        self.by_signal = False
        self._asked = threading.Event()

    def stop(self, reason: str, by_signal: bool = False) -> None:
        """Ask to stop, once: the command that runs is ended, and no other begins until `resume`."""
        if not self.reason:  # the request is heard again with every heartbeat
            self.reason, self.by_signal = reason, by_signal
            self._asked.set()

    def resume(self) -> None:
        """Allow commands again, such as those that save what is there."""
        self._asked.clear()

    def check(self) -> None:
        """Raise Stopped if the job was asked to stop."""
        if self._asked.is_set():
            raise Stopped(self.reason)

    def run(self, *arguments: str, limit: float | None = None) -> int:
        """Run a command to its end; return its exit status, -9 where it ran longer than `limit` seconds.

        Raises:
            Stopped: the job was asked to stop; the command and its children have ended.
        """
        self.check()
        process = subprocess.Popen(
            arguments, cwd=self._folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        guardian = subprocess.Popen(
            [sys.executable, "-c", GUARDIAN, str(process.pid)], stdin=subprocess.PIPE, start_new_session=True
        )
        pump = threading.Thread(target=self._pump, args=(process,), daemon=True)
        pump.start()
        try:
            self._wait(process, limit)
        finally:
            _signal_group(process, signal.SIGKILL)
            guardian.communicate(b"x")
            pump.join(GRACE_S)
        self.check()
        return process.returncode

    def output(self, *arguments: str) -> str:
        """Run a short command and return its output; raises JobError with its last line."""
        done = subprocess.run(
            arguments, cwd=self._folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            raise JobError(f"{arguments[0]}: {' '.join(done.stderr.split())}")
        return done.stdout.strip()

    def _wait(self, process: "subprocess.Popen[bytes]", limit: float | None) -> None:
        end = time.monotonic() + limit if limit is not None else float("inf")
        while process.poll() is None:
            if self._asked.wait(0.2):
                _signal_group(process, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE_S)
                break
            if time.monotonic() > end:
                break
        _signal_group(process, signal.SIGKILL)
        process.wait()

    def _pump(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout
        with process.stdout as lines:
            while line := lines.readline(MAX_LINE):
                self._log.write(line.replace(b"\r", b"\n") if line.endswith(b"\n") else line + b"\n")


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


class Heartbeat:
    """Writes status and new lines of the log to the storage every few seconds, and reads there whether to stop.

    Args:
        saved: what an earlier runner of the same job has saved; see `JobRun`.
    """

    def __init__(
        self, store: Store, log: Log, seconds: float, on_stop: Callable[[str], None], saved: Mapping[str, Any]
    ) -> None:
        self._store, self._log, self._seconds, self._on_stop = store, log, seconds, on_stop
        self.status: dict[str, Any] = {"state": PREPARING, "started": _now(), **saved}
        self._end = threading.Event()
        self._outages = 0
        self._asked_at = float("inf")  # when the request began that has no answer yet
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    @property
    def outages(self) -> int:
        """Return how often the storage did not answer at once; the runner then knows why a pull or push failed."""
        return self._outages + (time.monotonic() - self._asked_at > CONNECT_TIMEOUT)

    def set(self, **status: object) -> None:
        """Change the status; the next heartbeat tells it."""
        self.status = {**self.status, **status}

    def put(self) -> None:
        """Write the status now; raises botocore's errors."""
        status = {**self.status, "log_parts": self._log.parts, "updated": _now()}
        self._store.put(STATUS, self._log.without_secrets(json.dumps(status, indent=2).encode()))

    def close(self) -> None:
        """End the thread, then write the end of the log and the last status."""
        self._end.set()
        self._thread.join()
        self._log.upload()
        self.put()

    def _run(self) -> None:
        next_status = 0.0
        while not self._end.is_set():
            begun = self._asked_at = time.monotonic()
            try:
                self._log.upload()
                if begun >= next_status:
                    self.put()
                    next_status = begun + self._seconds
                    if self._store.object(STOP):
                        self._on_stop("stopped by `sentiment remote stop`")
            except Exception:
                self._outages += 1
            self._outages += time.monotonic() - begun > CONNECT_TIMEOUT  # botocore had to repeat a request
            self._asked_at = float("inf")
            self._end.wait(min(LOG_S, self._seconds))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def python_with_lock(lock: Path, commands: Commands, log: Log) -> Path:
    """Return the Python of an environment that has the lock; install it where this machine has none yet.

    Environments are kept by the hash of the lock, so that the next job on this machine starts at once.

    Raises:
        JobError: this Python is too old, or pip failed.
    """
    version = sys.version_info
    if version < OLDEST_PYTHON:
        raise JobError(f"Python {version[0]}.{version[1]} runs here, 3.11 or newer is needed; choose another image")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("SENTIMENT_REMOTE_CACHE") or cache / "sentiment-remote").expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    environment = folder / name
    python = environment / "bin" / "python"
    with (folder / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another job may be installing the same
        if (environment / "installed").exists():
            log.line(f"environment {name}: present")
            return python
        log.line(f"environment {name}: installing {lock.name}")
        shutil.rmtree(environment, ignore_errors=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(lock)]
        for command in ([sys.executable, "-m", "venv", str(environment)], install):
            if status := commands.run(*command, limit=INSTALL_S):
                shutil.rmtree(environment, ignore_errors=True)
                raise JobError(f"{lock.name} could not be installed (exit status {status}): {log.last_error}")
        (environment / "installed").touch()
        return python


class JobRun:
    """The steps of one job on this machine.

    Args:
        job: as the client wrote it.
        work: folder of the job.
        restarts: whether the service starts the runner again after a signal.

    The status says how many experiments are saved (`done`), and which of these failed: a runner that the service starts
    again takes them from the storage and goes on after them.
    """

    def __init__(
        self, job: dict[str, Any], store: Store, log: Log, beat: Heartbeat, commands: Commands, work: Path,
        restarts: bool,
    ) -> None:  # fmt: skip
        self._job, self._store, self._log, self._beat, self._commands = job, store, log, beat, commands
        self._work, self._restarts = work, restarts
        self._python = ""
        self._done = int(beat.status.get("done", 0))
        self._failures: list[str] = list(beat.status.get("failures", []))

    def run(self, python: Path | None) -> None:
        """Run all steps; the status then has the final state."""
        try:
            self._prepare(python)
            saved = time.monotonic()
            for number, arguments in enumerate(self._job["runs"], 1):
                if number <= self._done:
                    continue
                self._experiment(number, arguments)
                self._done = number
                if number == len(self._job["runs"]) or time.monotonic() - saved > SAVE_EVERY_S:
                    self._save(PUSH_S)
                    saved = time.monotonic()
                self._reset()
            state, message = (FAILED, "; ".join(self._failures)) if self._failures else (FINISHED, "")
        except Stopped as error:
            message = self._save_after_stop(str(error))
            # `remote stop` ends in a signal, too, where a service sends it
            is_asked = not self._commands.by_signal or self._store.object(STOP)
            state = INTERRUPTED if self._restarts and not is_asked else STOPPED
        except JobError as error:
            state, message = FAILED, "; ".join([*self._failures, str(error)])
        self._beat.set(state=state, message=message)
        self._log.line(f"{state}{': ' if message else ''}{message}")

    def _prepare(self, python: Path | None) -> None:
        """Check out the commit, and over it the changes that were not committed; install the lock.

        An experiment's baseline is the commit, as where it was sent from; `dvc exp run` takes the changes along.
        """
        self._beat.set(state=PREPARING, run=self._done)
        bundle, project = self._work / "repo.bundle", self._work / "project"
        bundle.write_bytes(self._store.need(BUNDLE))
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir()
        git = self._commands.output
        git("git", "init", "-q")
        git("git", "fetch", "-q", str(bundle), "+refs/*:refs/*")
        git("git", "checkout", "-q", "--detach", self._job["commit"])
        if self._done and (saved := self._store.get(EXPERIMENTS)):
            bundle.write_bytes(saved)
            git("git", "fetch", "-q", str(bundle), "+refs/exps/*:refs/exps/*")
        for key in ("name", "email"):
            git("git", "config", f"user.{key}", self._job["author"][key])
        self._restore_changes()
        remote = self._job["remote"]
        lines = [f"    {key} = {remote[key]}" for key in REMOTE_SETTINGS if remote.get(key) not in (None, "")]
        config = "\n".join([f"['remote \"{remote['name']}\"']", *lines, ""])
        (project / ".dvc" / "config.local").write_text(config, encoding="utf-8")
        self._commands.check()
        python = python or python_with_lock(project / "requirements.txt", self._commands, self._log)
        self._commands.environment["PATH"] = f"{python.parent}:{self._commands.environment['PATH']}"
        self._python = str(python)

    def _restore_changes(self) -> None:
        if self._job["changes"]:
            self._commands.output("git", "restore", f"--source={self._job['changes']}", "--worktree", "--", ".")

    def _reset(self) -> None:
        """Go back to what was sent, so that the next experiment starts from it."""
        self._commands.output("git", "reset", "--quiet", "--hard")
        self._restore_changes()

    def _experiment(self, number: int, arguments: list[str]) -> None:
        """Run one experiment; where the storage was away meanwhile, wait for it and go on where the run ended."""
        self._beat.set(state=RUNNING, run=number)
        self._log.line(f"experiment {number} of {len(self._job['runs'])}: dvc exp run {' '.join(arguments)}")
        before = set(self._experiment_refs())
        # data of stages that do not run stays away; where some is nowhere, its stage has to run
        allowed = ["--allow-missing"] if self._job["is_complete"] else []
        for attempt in (1, 2, 3):
            outages = self._beat.outages
            self._log.last_error = ""
            status = self._commands.run(self._python, "-m", "dvc", "exp", "run", "--pull", *allowed, *arguments)
            if status == 0 or self._beat.outages == outages or attempt == 3:
                break
            self._log.line("the storage did not answer meanwhile; waiting for it, then once more")
            self._beat.put()
        if status:
            self._failures.append(f"experiment {number}: {self._log.last_error or f'exit status {status}'}")
        new = sorted(set(self._experiment_refs()) - before)
        self._log.line(f"experiment {number}: {', '.join(new) if new else 'no new experiment'}")

    def _save(self, seconds: float) -> None:
        """Push data, then bring references: a reference without its data would be of no use."""
        self._beat.set(state=PUSHING)
        deadline = time.monotonic() + seconds
        for attempt in (1, 2, 3):
            left = max(deadline - time.monotonic(), 1)
            if self._commands.run(self._python, "-m", "sentiment", "push", limit=left) == 0:
                break
            if attempt == 3 or left <= 1:
                raise JobError(f"dvc push failed: {self._log.last_error}")
            self._beat.put()  # waits while the storage does not answer
        if refs := self._experiment_refs():
            bundle = self._work / "experiments.bundle"
            # without the history that they start from
            self._commands.output(
                "git", "bundle", "create", "-q", str(bundle), *refs.values(), f"^{self._job['commit']}"
            )
            self._store.put(EXPERIMENTS, bundle.read_bytes())
        self._beat.set(experiments=sorted(refs), done=self._done, failures=list(self._failures))
        self._beat.put()

    def _save_after_stop(self, message: str) -> str:
        """Push what is complete; return the message with what failed."""
        self._commands.resume()
        if not self._python or not (self._work / "project" / ".dvc" / "cache").is_dir():
            return message
        self._log.line(f"{message}; pushing what is complete")
        try:
            self._save(FINAL_PUSH_S)
        except (JobError, Stopped) as error:
            return f"{message}; {error}"
        return f"{message}; complete stages are pushed"

    def _experiment_refs(self) -> dict[str, str]:
        """Return the references of the experiments here by their names."""
        refs = self._commands.output("git", "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
        return {match[1]: match[0] for ref in refs if (match := EXPERIMENT_REF.fullmatch(ref))}


def secrets_of(session: Any) -> set[str]:
    """Return the secret key and the token that a boto3 session signs with now, wherever they come from."""
    credentials = session.get_credentials()
    frozen = credentials.get_frozen_credentials() if credentials else None
    return {secret for secret in (frozen.secret_key, frozen.token) if secret} if frozen else set()


def main() -> None:
    """Run the job that the arguments name."""
    parser = argparse.ArgumentParser("runner.py", description=__doc__)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--prefix", required=True, help="of the job: its id is the last component")
    parser.add_argument("--work", required=True, type=Path, help="a folder of its own, made where it is missing")
    parser.add_argument("--endpoint", help="of S3, where it is not AWS")
    parser.add_argument("--region")
    parser.add_argument("--python", type=Path, help="has the lock already; otherwise an environment is made")
    parser.add_argument("--failure-file", type=Path, help="gets the reason of a failure, as SageMaker reads it")
    parser.add_argument("--restarts", action="store_true", help="the service starts the runner again after a signal")
    sys.exit(run(parser.parse_args()))


def run(args: argparse.Namespace) -> int:
    """Run the job, and leave its last status and the end of its log in the storage; return the exit status."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    work = args.work.expanduser().resolve()
    work.mkdir(parents=True, exist_ok=True)
    session = boto3.session.Session()
    retries: Any = {"mode": "standard", "total_max_attempts": MAX_ATTEMPTS}
    config = Config(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retries=retries)
    try:
        client = session.client("s3", endpoint_url=args.endpoint, region_name=args.region, config=config)
        store = Store(client, args.bucket, args.prefix)
        job = json.loads(store.need(JOB))
        earlier = json.loads(store.get(STATUS) or b"{}")
        log = Log(store, work / "log.txt", lambda: secrets_of(session), earlier.get("log_parts", 0))
    except (BotoCoreError, ClientError, JobError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    is_started_again = earlier.get("state") not in FINAL  # else somebody repeats the job
    saved = {key: earlier[key] for key in ("done", "failures", "experiments") if is_started_again and key in earlier}
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1", "GIT_TERMINAL_PROMPT": "0"}
    commands = Commands(log, work / "project", environment)

    def on_signal(number: int, frame: FrameType | None) -> None:
        commands.stop(f"stopped by {signal.Signals(number).name}", by_signal=True)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    beat = Heartbeat(store, log, job["heartbeat_s"], commands.stop, saved)
    try:
        python = args.python.expanduser() if args.python else None
        JobRun(job, store, log, beat, commands, work, args.restarts).run(python)
    except (BotoCoreError, ClientError) as error:
        beat.set(state=FAILED, message=f"the storage: {' '.join(str(error).split())}")
    except Exception as error:
        log.write(traceback.format_exc().encode())
        message = f"the runner failed: {type(error).__name__}: {' '.join(str(error).split())}"
        beat.set(state=FAILED, message=message)
    try:
        beat.close()
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"error: the last status: {' '.join(str(error).split())}")
    state = beat.status["state"]
    if state == FAILED and args.failure_file:
        args.failure_file.parent.mkdir(parents=True, exist_ok=True)
        args.failure_file.write_bytes(log.without_secrets(str(beat.status["message"]).encode())[:MAX_REASON])
    if state == FINISHED:
        shutil.rmtree(work / "project", ignore_errors=True)
    return EXIT[state]


if __name__ == "__main__":
    main()
