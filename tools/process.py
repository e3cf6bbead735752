"""Run commands with a limit of time; they end with all their children, and a failed one is one line."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sentiment.common.errors import PipelineError

MAX_SECONDS = 7_200  # of the pipeline on a slow machine


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
    """Run a command and return its exit status, and its output where `capture`, else show it.

    The command's children never outlive it: they are killed when it has ended, after `timeout`, and with this process.

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
            with suppress(ProcessLookupError, PermissionError):  # macOS answers "not permitted" for zombies
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return subprocess.CompletedProcess(list(command), process.returncode, stdout, stderr)
