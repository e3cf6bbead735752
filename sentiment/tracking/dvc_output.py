"""Output of DVC commands as JSON, in full precision."""

import json
import subprocess
import sys
from typing import Any

from sentiment.common.errors import InputError

MAX_SECONDS = 600  # of a command that reads what git and the DVC cache hold


def dvc_json(*arguments: str) -> Any:
    """Run `dvc ARGUMENTS --json` and return its output; raises InputError with DVC's last line where it fails."""
    command = [sys.executable, "-m", "dvc", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=MAX_SECONDS)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(f"dvc {' '.join(arguments)}: {reason[-1].removeprefix('ERROR: ')}")
    return json.loads(done.stdout)
