"""A command with a time limit in, a progress bar out; and the line of its output that reports an error."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from tools.arm.errors import ArmError
from tools.process import terminate

POLL = 0.2  # seconds between two looks at a log


def run_with_progress(
    command: Sequence[str],
    log: Path,
    *,
    title: str,
    steps: tuple[str, ...],
    total: int | None,
    timeout: float,
    **env: str,
) -> None:
    """Run a command and show a bar that advances with each line of its output that starts with one of `steps`.

    Args:
        command: what to run, without a shell.
        log: file that gets the output, both streams.
        title: what the bar and an error call the command.
        steps: starts of the lines that are counted, leading spaces ignored.
        total: how many such lines are expected, if known.
        timeout: seconds.
        env: environment variables besides those of this process.

    Raises:
        ArmError: the command failed, with its last error line, or took too long.
    """
    end = time.monotonic() + timeout
    with log.open("wb") as output, tqdm(desc=title, total=total) as bar:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | env,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                if time.monotonic() > end:
                    raise ArmError(f"{title}: not done after {timeout:.0f} s; output in {log}")
                time.sleep(POLL)
                bar.update(_count(log, steps) - bar.n)
                bar.refresh()  # the clock goes on where the count does not
            bar.update(_count(log, steps) - bar.n)
        finally:
            terminate(process)
    if process.returncode:
        raise ArmError(f"{title}: {error_line(log.read_text(errors='replace'))}")


def error_line(output: str) -> str:
    """Return the first line of an output that reports an error (apt: `E:`, pip: `ERROR:`), or its last line.

    Pip reports an unreachable index as warnings, and then that there is no such package: the reason is put before.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "ERROR:", "dpkg-deb: error"))]
    line = errors[0] if errors else (lines or ["failed without a message"])[-1]
    unreachable = any(line.startswith("WARNING: Retrying") for line in lines)
    return f"the package index did not answer: {line}" if unreachable else line


def _count(log: Path, steps: tuple[str, ...]) -> int:
    return sum(line.lstrip().startswith(steps) for line in log.read_text(errors="replace").splitlines())
