"""Measure the peak memory of a command, from a small process of its own.

Linux counts the memory of the process that forked towards the peak of what it starts: started directly from a program
of 2 GB, `echo` has a peak of 2 GB. So a small Python process starts the command and asks for the peak of its children.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

MEASURE = """
import resource, subprocess, sys
from pathlib import Path
status = subprocess.call(sys.argv[2:])
Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status if status >= 0 else 128 - status)
"""
UNIT = 1 if sys.platform == "darwin" else 1_024  # bytes; Linux counts in KiB


def peak_memory(command: list[str], record: Path, *, timeout: float, **options: Any) -> int:
    """Run a command to its end and return its peak memory in bytes.

    Args:
        command: the program and its arguments.
        record: the file that the measuring process writes the peak to.
        timeout: seconds after which the command is ended.
        options: others of `subprocess.run`: `cwd`, `env`, `stdin`, `stdout`, `stderr`.

    Raises:
        CalledProcessError: the command failed.
        TimeoutExpired: it took longer than `timeout`.
    """
    subprocess.run([sys.executable, "-c", MEASURE, str(record), *command], check=True, timeout=timeout, **options)
    return int(record.read_text()) * UNIT
