"""Run commands with a limit of time; they end with all their children, and a failed one is one line."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sentiment.common.errors import PipelineError

MAX_SECONDS = 7_200  # of the pipeline on a slow machine
GRACE = 5  # seconds that a command and its children have to end after SIGTERM
POLL = 0.05  # seconds


class CommandError(PipelineError):
    """A command that failed or took too long; the message names it."""


def run(folder: Path, *command: str, quiet: bool = True, max_seconds: int = MAX_SECONDS) -> str:
    """Run a command of this environment in a folder; return its output where `quiet`, else show it.

    Raises:
        CommandError: the command failed or took too long; the message has its last line.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = run_with_limit(command, cwd=folder, env={**os.environ, "PATH": path}, timeout=max_seconds, capture=quiet)
    if done.returncode:
        reason = (done.stderr or "").strip().splitlines() or [f"exit status {done.returncode}"]
        raise CommandError(f"{' '.join(command)}: {reason[-1]}")
    return done.stdout or ""


def run_with_limit(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float, capture: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command and return its exit status, and its output unless that is shown.

    The command's children never outlive it: they are ended when it has ended, after `timeout`, and with this process.

    Args:
        command: what to run, without a shell.
        cwd: the folder to run it in.
        env: its whole environment.
        timeout: seconds.
        capture: whether the output is returned or shown; None is returned for an output that is shown.

    Raises:
        CommandError: it took too long.
    """
    output = subprocess.PIPE if capture else None
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, text=True, errors="replace",
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise CommandError(f"{' '.join(command)}: not done after {timeout:.0f} s") from None
        finally:
            terminate(process)
    return subprocess.CompletedProcess(list(command), process.returncode, stdout, stderr)


def terminate(process: subprocess.Popen[str]) -> None:
    """End a command and all children in its session; children of a command that has ended get no time to clean up."""
    if process.poll() is None and _signal(process, signal.SIGTERM):
        end = time.monotonic() + GRACE
        # `poll` reaps the command; a zombie would count as a member of the session
        while (process.poll() is None or _signal(process, 0)) and time.monotonic() < end:
            time.sleep(POLL)
    _signal(process, signal.SIGKILL)
    process.wait(GRACE)


def _signal(process: subprocess.Popen[str], number: int) -> bool:
    """Send a signal, or 0 for none, to the session that a process has begun; return whether any of it runs."""
    with suppress(ProcessLookupError, PermissionError):  # macOS answers "not permitted" for zombies
        os.killpg(process.pid, number)
        return True
    return False
