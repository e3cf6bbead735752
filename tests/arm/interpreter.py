"""Run Python commands on the emulated aarch64 processor."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sentiment.common.errors import PipelineError
from tools.process import run_with_limit

QEMU = "qemu-aarch64-static"
CPU = "max"  # everything that qemu can emulate, SVE, bfloat16 and int8 products among it
TIMEOUT = 1200  # seconds that one command may run, beside other tests on two cores
UNSET = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "QEMU_CPU", "QEMU_LD_PREFIX")


class ArmError(PipelineError):
    """The emulated Python cannot be built or used here; the message says what is missing or what failed."""


@dataclass(frozen=True)
class ArmPython:
    """An aarch64 Python in `folder`: Debian's files in `root`, the wheels in `site`."""

    folder: Path

    @property
    def root(self) -> Path:
        """Where the Debian packages are unpacked."""
        return self.folder / "root"

    @property
    def site(self) -> Path:
        """Where the wheels are unpacked."""
        return self.folder / "site"

    def command(self, arguments: Sequence[str], cpu: str = CPU) -> list[str]:
        """Return the whole command line for Python's `arguments`; `cpu` is a name from `qemu-aarch64-static -cpu ?`."""
        return [QEMU, "-cpu", cpu, "-L", str(self.root), str(self.root / "usr/bin/python3.11"), *arguments]

    def environment(self, cwd: Path, **more: str) -> dict[str, str]:
        """Return this process's environment without what belongs to its own Python; modules of `cwd` come first."""
        inherited = {name: value for name, value in os.environ.items() if name not in UNSET}
        return inherited | {"PYTHONPATH": f"{cwd}{os.pathsep}{self.site}"} | more

    def run(
        self, arguments: Sequence[str], cwd: Path, *, cpu: str = CPU, timeout: float = TIMEOUT, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Python with `arguments`, for example `["-m", "stages.encode", ...]`, in folder `cwd`.

        The exit status is in the result; a command that fails raises nothing.

        Raises:
            CommandError: not done after `timeout` seconds.
        """
        return run_with_limit(
            self.command(arguments, cpu), cwd=cwd, env=self.environment(cwd.resolve(), **env), timeout=timeout
        )
