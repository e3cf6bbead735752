"""Runs a job on a host that OpenSSH reaches; the host has Python 3.11 and credentials for the storage of its own.

The host's AWS chain is used (its instance role, or `aws configure` there); no key leaves this machine.
"""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sentiment.common.errors import ParamsError, StorageError
from sentiment.remote.backends import BackendState
from sentiment.remote.job import JobFolder, checked
from sentiment.remote.local import runner_arguments
from sentiment.remote.submit import runner_archive

HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,254}")  # no option of ssh, and nothing that a shell expands
PYTHON = re.compile(r"[A-Za-z0-9_./~ -]+")
SSH_VARIABLE = "SENTIMENT_SSH_COMMAND"  # as GIT_SSH_COMMAND: ssh with options, such as another configuration
CONNECT_TIMEOUT_S, COMMAND_LIMIT_S = 15, 300
BOTO3 = "boto3>=1.40"
# the archive comes on standard input; nohup lets the runner go on when the connection ends
START = """
set -e
cache="${{SENTIMENT_REMOTE_CACHE:-$HOME/.cache/sentiment-remote}}"
work="$cache/jobs/{id}"
mkdir -p "$work"
cat > "$work/runner.pyz"
command -v git > /dev/null || {{ echo "git is not installed there" >&2; exit 1; }}
python={python}
command -v "$python" > /dev/null || {{ echo "$python is not installed there" >&2; exit 1; }}
if ! "$python" -c "import boto3" 2> /dev/null; then
  "$python" -m venv "$cache/boto3"
  python="$cache/boto3/bin/python"
  "$python" -m pip install --quiet --disable-pip-version-check "{boto3}" >&2
fi
nohup "$python" "$work/runner.pyz" {arguments} --work "$work" > "$work/runner.log" 2>&1 < /dev/null &
echo $! > "$work/pid"
echo "process $! in $work"
"""
DESCRIBE = """
work="${{SENTIMENT_REMOTE_CACHE:-$HOME/.cache/sentiment-remote}}/jobs/{id}"
if ps -ww -o args= -p "$(cat "$work/pid")" | grep -q {id}; then echo running; else tail -n 1 "$work/runner.log"; fi
"""


@dataclass(frozen=True)
class SshBackend:
    """A host by its name in OpenSSH's configuration, or USER@HOST.

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
        arguments = runner_arguments(folder)
        if self.python:
            arguments += ["--python", str(self.python)]
        script = START.format(
            id=folder.id,
            python=shlex.quote(str(self.python or "python3")),
            boto3=BOTO3,
            arguments=shlex.join(arguments),
        )
        where = self._run(script, runner_archive())
        return f"{where} on {self.host}"

    def describe(self, folder: JobFolder) -> BackendState:
        """Return whether the runner's process is there."""
        try:
            answer = self._run(DESCRIBE.format(id=folder.id))
        except StorageError as error:
            return BackendState(False, str(error))
        if answer == "running":
            return BackendState(False, f"its process runs on {self.host}")
        return BackendState(True, f"its process on {self.host} has ended{': ' if answer else ''}{answer}")

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
