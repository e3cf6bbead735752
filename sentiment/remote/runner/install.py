"""The lock installed in a virtual environment: requirements.txt in, the path of a Python out.

Environments are kept by the hash of the lock, so that the next job on this machine starts at once.
"""

import fcntl
import hashlib
import os
import shutil
import sys
from pathlib import Path

from .command import Commands
from .log import Log

INSTALL_S = 3_600.0
OLDEST_PYTHON = (3, 11)


class InstallError(Exception):
    """The lock could not be installed; the message says why."""


def environments() -> Path:
    """Return the folder of the environments; `SENTIMENT_REMOTE_CACHE` names another one."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("SENTIMENT_REMOTE_CACHE") or Path(cache) / "sentiment-remote")


def python_with_lock(lock: Path, commands: Commands, log: Log) -> Path:
    """Return the Python of an environment that has the lock; install it where this machine has none yet.

    Raises:
        InstallError: this Python is too old, or pip failed.
    """
    version = sys.version_info
    if version < OLDEST_PYTHON:
        raise InstallError(f"Python {version[0]}.{version[1]} runs here, 3.11 or newer is needed; choose another image")
    name = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = environments() / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another job may be installing the same
        python = folder / "bin" / "python"
        if (folder / "installed").exists():
            log.line(f"environment {name}: present")
            return python
        log.line(f"environment {name}: installing {lock.name}")
        shutil.rmtree(folder, ignore_errors=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(lock)]
        for command in ([sys.executable, "-m", "venv", str(folder)], install):
            if status := commands.run(*command, limit=INSTALL_S):
                shutil.rmtree(folder, ignore_errors=True)
                raise InstallError(f"{lock.name} could not be installed (exit status {status}): {log.last_error}")
        (folder / "installed").touch()
        return python
