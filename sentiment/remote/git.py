"""Git in a subprocess: arguments in, output out; a failure is one line."""

import os
import subprocess
from collections.abc import Mapping

from sentiment.common.errors import InputError

MAX_SECONDS = 300


def git(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run a git command in this folder and return its output.

    Raises:
        InputError: it failed; the message has git's last line.
    """
    command = ["git", *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=MAX_SECONDS,
        env={**os.environ, **(env or {})},
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(f"git {arguments[0]}: {reason[-1].removeprefix('fatal: ')}")
    return done.stdout.strip()
