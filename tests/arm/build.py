"""Build the emulated aarch64 Python in a folder, once: Debian packages by apt, wheels by pip.

The folder appears under its name only when it is complete, and is made again when the lock changed. Nothing is
installed on the system.
"""

import logging
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from tests.arm.interpreter import QEMU, ArmError, ArmPython
from tests.arm.lock import arm_requirements
from tools.process import run

log = logging.getLogger(__name__)

LOCK = Path(__file__).parents[2] / "requirements.txt"
RECORD = "requirements.txt"  # in the folder: what it was made from
WHEEL_PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
DEBIAN = "bookworm"  # its Python is 3.11
DEBIAN_PACKAGES = ("python3.11", "libgomp1", "libstdc++6")
# seconds
APT_TIMEOUT = 300
PIP_TIMEOUT = 1200
NETWORK_TIMEOUT = 30  # for one answer of a server
BUILD_TIMEOUT = 2400  # for another process that is building

# an apt of its own: no file of the system's is written, none of its hooks runs
APT_CONFIG = """\
APT::Architecture "arm64";
#clear APT::Architectures;
APT::Architectures {{ "arm64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear Acquire::IndexTargets::deb::DEP-11;
Acquire::Retries "2";
Acquire::http::Timeout "{timeout}";
Acquire::https::Timeout "{timeout}";
Dir::State "{folder}";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Cache::archives "{folder}/archives";
Dir::Log "{folder}";
"""


def check_system() -> None:
    """Check that this is Debian 12 with qemu's user emulation.

    Raises:
        ArmError: it is not; the message says what is missing.
    """
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if release.get("VERSION_CODENAME") != DEBIAN:
        name = release.get("PRETTY_NAME", platform.system())
        raise ArmError(f"the emulated ARM needs Debian 12 ({DEBIAN}) and its packages; this is {name}")
    for program, package in ((QEMU, "qemu-user-static"), ("apt-get", "apt"), ("dpkg-deb", "dpkg")):
        if shutil.which(program) is None:
            raise ArmError(f"{program} is missing: apt-get install {package}")


def unpack_debian(python: ArmPython, apt: Path) -> None:
    """Download Python and all that it needs for arm64, and unpack it without installing."""
    for folder in ("lists/partial", "archives/partial"):
        (apt / folder).mkdir(parents=True)
    (apt / "status").touch()
    config = apt / "apt.conf"
    config.write_text(APT_CONFIG.format(folder=apt, timeout=NETWORK_TIMEOUT), encoding="utf-8")
    apt_get = ("apt-get", "-c", str(config), "--yes")
    run(apt, *apt_get, "update", "--error-on=any", quiet=False, max_seconds=APT_TIMEOUT)
    run(apt, *apt_get, "install", "--download-only", *DEBIAN_PACKAGES, quiet=False, max_seconds=APT_TIMEOUT)
    python.root.mkdir()
    for package in sorted((apt / "archives").glob("*.deb")):
        run(apt, "dpkg-deb", "-x", str(package), str(python.root), max_seconds=APT_TIMEOUT)


def default_folder() -> Path:
    """Return the folder in the user's cache that `build` uses unless another is named."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "frozen-albert-sentiment" / "arm"


def build(folder: Path | None = None) -> ArmPython:
    """Return the emulated Python in `folder`, made first unless it is complete and fits the lock.

    Raises:
        ArmError: a program is missing, or the system is another.
        CommandError: a download failed or took too long; the command's own output says why.
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
            raise ArmError(f"the aarch64 Python does not start: {(tested.stderr.splitlines() or ['no output'])[-1]}")
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
        "--retries=2",
        f"--timeout={NETWORK_TIMEOUT}",
    ]
    run(folder, sys.executable, "-m", "pip", "install", *options, quiet=False, max_seconds=PIP_TIMEOUT)
