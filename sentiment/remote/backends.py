"""Run a job on this machine, on a host by SSH, or wherever somebody runs a command; SageMaker has its own module.

    backend = backend_for(["ssh", "gpu-box"])
    backend.check()
    backend.start(submit(["ssh", "gpu-box"], [[]]))

A host uses credentials of its own (its role, or `aws configure` there); no key leaves this machine.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sentiment.common.errors import ParamsError, StorageError
from sentiment.remote.job import Backend, JobFolder, checked, runner_arguments
from sentiment.remote.runner import RUNNER
from sentiment.storage.s3 import Remote

FOLDER = Path(".dvc/tmp/remote")  # of local jobs; ignored by git
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,254}")  # no option of ssh, and nothing that a shell expands
PYTHON = re.compile(r"[A-Za-z0-9_./~ -]+")
SSH_VARIABLE = "SENTIMENT_SSH_COMMAND"  # as GIT_SSH_COMMAND: ssh with options, such as another configuration
CONNECT_TIMEOUT_S, COMMAND_LIMIT_S = 15, 300
# no shell expands a "~" in a variable's value
CACHE = """
cache="${{SENTIMENT_REMOTE_CACHE:-$HOME/.cache/sentiment-remote}}"
case "$cache" in "~/"*) cache="$HOME/${{cache#??}}";; esac
work="$cache/jobs/{id}"
"""
# the runner comes on standard input; nohup lets it go on when the connection ends
START = """
set -e
mkdir -p "$work"
cat > "$work/runner.py"
command -v git > /dev/null || {{ echo "git is not installed there" >&2; exit 1; }}
python={python}
command -v "$python" > /dev/null || {{ echo "$python is not installed there" >&2; exit 1; }}
if ! "$python" -c "import boto3" 2> /dev/null; then
  "$python" -m venv "$cache/boto3"
  python="$cache/boto3/bin/python"
  "$python" -m pip install --quiet --disable-pip-version-check "boto3>=1.40" >&2
fi
nohup "$python" "$work/runner.py" {arguments} --work "$work" > "$work/runner.log" 2>&1 < /dev/null &
echo $! > "$work/pid"
echo "process $! in $work"
"""
DESCRIBE = """
if ps -ww -o args= -p "$(cat "$work/pid")" | grep -q {id}; then echo running; else tail -n 1 "$work/runner.log"; fi
"""
DOWNLOAD = (
    "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[4] or None).download_file(*sys.argv[1:3], sys.argv[3])"
)


def backend_for(on: Sequence[str], python: Path | None = None) -> Backend:
    """Return the backend for the words after `--on`; raises ParamsError for others."""
    match list(on):
        case ["local"]:
            return LocalBackend(python or Path(sys.executable))
        case ["ssh", host]:
            return SshBackend(host, python)
        case ["sagemaker"]:
            from sentiment.remote.sagemaker import SageMakerBackend

            return SageMakerBackend()
        case ["command"]:
            return CommandBackend()
        case _:
            raise ParamsError(f"--on {' '.join(on)}: expected local, ssh HOST, sagemaker or command")


def runner_source() -> bytes:
    """Return the runner, which is one file."""
    import sentiment.remote.runner as runner

    return Path(runner.__file__).read_bytes()


@dataclass(frozen=True)
class LocalBackend:
    """A process on this machine that goes on when this one ends: to try what a remote run does.

    Attributes:
        python: an interpreter that has the lock.
    """

    python: Path
    start_limit_s: float = 60.0

    def check(self) -> None:
        """Do nothing: this machine is here."""

    def cancel(self, folder: JobFolder) -> None:
        """Do nothing: the runner reads the request to stop."""

    def start(self, folder: JobFolder) -> str:
        """Start the runner; it inherits this environment, and the keys that DVC has for the remote."""
        work = (FOLDER / folder.id).resolve()
        work.mkdir(parents=True)
        (work / "runner.py").write_bytes(runner_source())
        python = str(self.python.expanduser().absolute())
        command = [sys.executable, str(work / "runner.py"), *runner_arguments(folder), "--python", python]
        with (work / "runner.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--work", str(work)], cwd=work, env=environment(folder.remote), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        (work / "pid").write_text(str(process.pid), encoding="ascii")
        return f"process {process.pid} in {work}"

    def describe(self, folder: JobFolder) -> tuple[bool, str]:
        """Return whether the process of a job has ended, and what it wrote last."""
        work = FOLDER / folder.id
        if not (work / "pid").exists():
            return False, "on another machine"
        pid = (work / "pid").read_text(encoding="ascii")
        if is_runner(pid, folder.id):
            return False, f"process {pid}"
        lines = (work / "runner.log").read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        return True, f"its process has ended{': ' if last else ''}{last.removeprefix('error: ')}"


def is_runner(pid: str, job_id: str) -> bool:
    """Return whether a process is the runner of a job; a number may have been given to another process since."""
    command = ["ps", "-ww", "-o", "stat=,args=", "-p", pid]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except FileNotFoundError:  # a slim image without procps: its heartbeat tells
        return True
    state, _, arguments = shown.stdout.strip().partition(" ")
    return job_id in arguments and not state.startswith("Z")


def environment(remote: Remote) -> dict[str, str]:
    """Return this environment with the keys or the profile that DVC has for the remote, where it has any."""
    variables, settings = dict(os.environ), remote.settings
    if settings.get("access_key_id"):
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            variables.pop(name, None)
        variables["AWS_ACCESS_KEY_ID"] = str(settings["access_key_id"])
        variables["AWS_SECRET_ACCESS_KEY"] = str(settings.get("secret_access_key", ""))
        if settings.get("session_token"):
            variables["AWS_SESSION_TOKEN"] = str(settings["session_token"])
    elif settings.get("profile"):
        variables["AWS_PROFILE"] = str(settings["profile"])
    return variables


@dataclass(frozen=True)
class SshBackend:
    """A host by its name in OpenSSH's configuration, or USER@HOST; it has Python 3.11, git and credentials.

    Attributes:
        host: the host.
        python: an interpreter there that has the lock; None makes an environment there.
    """

    host: str
    python: Path | None = None
    start_limit_s: float = 120.0

    def __post_init__(self) -> None:
        checked(self.host, HOST, "a host: HOST or USER@HOST")
        if self.python:
            checked(str(self.python), PYTHON, "the path of an interpreter")

    def check(self) -> None:
        """Raise StorageError if the host does not answer, before anything is sent."""
        self._run("true")

    def start(self, folder: JobFolder) -> str:
        """Copy the runner and start it; raises StorageError with the last line of ssh or of the host."""
        arguments = shlex.join(runner_arguments(folder))
        python = shell_path(str(self.python)) if self.python else "python3"
        if self.python:
            arguments += f" --python {python}"
        script = CACHE.format(id=folder.id) + START.format(python=python, arguments=arguments)
        where = self._run(script, runner_source())
        return f"{where} on {self.host}"

    def describe(self, folder: JobFolder) -> tuple[bool, str]:
        """Return whether the runner's process has ended, and where it is."""
        try:
            answer = self._run(CACHE.format(id=folder.id) + DESCRIBE.format(id=folder.id))
        except StorageError as error:
            return False, str(error)
        if answer == "running":
            return False, f"its process runs on {self.host}"
        return True, f"its process on {self.host} has ended{': ' if answer else ''}{answer}"

    def cancel(self, folder: JobFolder) -> None:
        """Do nothing: the runner reads the request to stop."""

    def _run(self, script: str, stdin: bytes = b"") -> str:
        ssh = shlex.split(os.environ.get(SSH_VARIABLE, "ssh"))
        options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}"]
        command = [*ssh, *options, "--", self.host, f"sh -c {shlex.quote(script)}"]
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, timeout=COMMAND_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise StorageError(f"ssh {self.host}: no answer for {COMMAND_LIMIT_S} s") from None
        except FileNotFoundError:
            raise ParamsError(f"{ssh[0]} is not installed; install OpenSSH's client") from None
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit status {done.returncode}"]
            raise StorageError(f"ssh {self.host}: {lines[-1].strip()}")
        return done.stdout.decode("utf-8", "replace").strip()


def shell_path(path: str) -> str:
    """Return a path as a word of a POSIX shell, in which `~/` at its start is the home folder there."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)


@dataclass(frozen=True)
class CommandBackend:
    """Starts nothing: a person or a scheduler (SkyPilot, Slurm, Kubernetes) runs the command at any time."""

    start_limit_s: float = 86_400.0

    def check(self) -> None:
        """Do nothing: nothing runs yet."""

    def start(self, folder: JobFolder) -> str:
        """Return the command for a POSIX shell; it needs python3 (3.11) with boto3, and git."""
        runner = f"runner-{folder.id}.py"
        endpoint = str(folder.remote.settings.get("endpointurl") or "")
        download = ["python3", "-c", DOWNLOAD, folder.store.bucket, folder.store.key(RUNNER), runner, endpoint]
        run = ["exec", "python3", runner, *runner_arguments(folder), "--work", f"sentiment-{folder.id}"]
        return f"{shlex.join(download)} && {shlex.join(run)}"

    def describe(self, folder: JobFolder) -> tuple[bool, str]:
        """Return what `remote run` asked for; where the job is, only its status says."""
        return False, "started by a command that somebody runs"

    def cancel(self, folder: JobFolder) -> None:
        """Do nothing: the runner reads the request to stop."""
