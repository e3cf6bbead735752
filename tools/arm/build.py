"""Makes the emulated aarch64 Python in a folder, once: Debian packages by apt, wheels by pip.

The folder appears under its name only when it is complete, and is made again when the lock changed.
"""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from tools.arm.debian import DEBIAN, DEBIAN_PACKAGES, NETWORK_TIMEOUT, check_system, unpack_debian
from tools.arm.errors import ArmError
from tools.arm.interpreter import ArmPython
from tools.arm.lock import arm_requirements
from tools.arm.process import error_line, run_with_progress

log = logging.getLogger(__name__)

LOCK = Path(__file__).parents[2] / "requirements.txt"
WHEEL_PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
RECORD = "requirements.txt"  # in the folder: what it was made from
# seconds
PIP_TIMEOUT = 1200
BUILD_TIMEOUT = 2400  # for another process that is building


def default_folder() -> Path:
    """Return the folder in the user's cache that `build` uses unless another is named."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "frozen-albert-sentiment" / "arm"


def build(folder: Path | None = None) -> ArmPython:
    """Return the emulated Python in `folder`, made first unless it is complete and fits the lock.

    Raises:
        ArmError: a program is missing, the system is another, a download failed, or a step took too long.
    """
    check_system()
    python = ArmPython((folder or default_folder()).resolve())
    requirements = arm_requirements(LOCK)
    python.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{python.folder}.lock", timeout=BUILD_TIMEOUT):
            if not _is_complete(python, requirements):
                _build(python, requirements)
    except Timeout:
        raise ArmError(f"{python.folder}: another process builds there for {BUILD_TIMEOUT} s") from None
    return python


def _is_complete(python: ArmPython, requirements: Sequence[str]) -> bool:
    record = python.folder / RECORD
    return record.is_file() and record.read_text(encoding="utf-8") == _record(requirements)


def _record(requirements: Sequence[str]) -> str:
    return "\n".join([f"# Debian {DEBIAN}: {' '.join(DEBIAN_PACKAGES)}", *requirements, ""])


def _build(python: ArmPython, requirements: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="arm-", dir=python.folder.parent) as name:
        building = ArmPython(Path(name) / "arm")
        building.folder.mkdir()
        unpack_debian(building, Path(name) / "apt")
        _install_wheels(building, requirements, Path(name))
        tested = building.run(["-c", "import numpy, pyarrow, torch"], building.folder)
        if tested.returncode:
            raise ArmError(f"the aarch64 Python does not start: {error_line(tested.stderr)}")
        (building.folder / RECORD).write_text(_record(requirements), encoding="utf-8")
        if python.folder.exists():
            shutil.rmtree(python.folder)
        building.folder.rename(python.folder)
    log.info("aarch64 Python is ready in %s", python.folder)


def _install_wheels(python: ArmPython, requirements: Sequence[str], folder: Path) -> None:
    """Download the aarch64 wheels and unpack them into `python.site`."""
    listed = folder / "wheels.txt"
    listed.write_text("\n".join(requirements), encoding="utf-8")
    options = [
        f"--requirement={listed}",
        f"--target={python.site}",
        "--no-deps",
        "--only-binary=:all:",
        "--python-version=3.11",
        *(f"--platform={name}_aarch64" for name in WHEEL_PLATFORMS),
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar=off",
        "--retries=2",
        f"--timeout={NETWORK_TIMEOUT}",
    ]
    run_with_progress(
        [sys.executable, "-m", "pip", "install", *options],
        folder / "pip.log",
        title="aarch64 wheels",
        steps=("Collecting ", "Processing "),
        total=len(requirements),
        timeout=PIP_TIMEOUT,
    )
