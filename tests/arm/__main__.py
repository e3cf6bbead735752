"""Run a Python command on an emulated aarch64 processor. See `tests.arm`."""

import argparse
import logging
import subprocess
import sys
from pathlib import Path

from sentiment.common.command import run_main
from tests import arm
from tests.arm.build import build, default_folder
from tests.arm.interpreter import CPU
from tests.arm.lock import TORCH

log = logging.getLogger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.arm", description=arm.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=default_folder(), help="where it is (default: %(default)s)")
    parser.add_argument("--cpu", default=CPU, help="the processor that qemu emulates (default: %(default)s)")
    parser.add_argument(
        "command", choices=("build", "run"), help="build makes the Python unless it is there; run uses it"
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of Python, for example -m stages.encode --help")
    options = parser.parse_args()
    python = build(options.folder)
    if options.command == "build":
        log.info("%s, torch: %s", python.folder, TORCH)
        return 0
    cwd = Path.cwd()
    done = subprocess.run(python.command(options.arguments, options.cpu), env=python.environment(cwd), check=False)
    return done.returncode


if __name__ == "__main__":
    sys.argv[0] = "tests.arm"
    run_main(main)
