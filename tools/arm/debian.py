"""Debian's packages for arm64 in; an unpacked Python and all that it needs out. Nothing is installed."""

import os
import platform
import shutil
from pathlib import Path

from tools.arm.errors import ArmError
from tools.arm.interpreter import QEMU, ArmPython
from tools.arm.process import error_line, run_with_progress
from tools.process import run_with_limit

DEBIAN = "bookworm"  # its Python is 3.11
DEBIAN_PACKAGES = ("python3.11", "libgomp1", "libstdc++6")
APT_TIMEOUT = 300  # seconds
NETWORK_TIMEOUT = 30  # seconds, for one answer of a server

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
    for action, title, log in (
        (["update", "--error-on=any"], "Debian package lists", "update.log"),
        (["install", "--download-only", *DEBIAN_PACKAGES], "Debian packages", "download.log"),
    ):
        run_with_progress(
            ["apt-get", "-c", str(config), "--yes", *action],
            apt / log,
            title=title,
            steps=("Get:",),
            total=None,
            timeout=APT_TIMEOUT,
            LC_ALL="C",
        )
    python.root.mkdir()
    for package in sorted((apt / "archives").glob("*.deb")):
        done = run_with_limit(
            ["dpkg-deb", "-x", str(package), str(python.root)], cwd=apt, env=os.environ, timeout=APT_TIMEOUT
        )
        if done.returncode:
            raise ArmError(f"{package.name}: {error_line(done.stderr)}")
