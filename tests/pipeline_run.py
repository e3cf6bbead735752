"""Run stages of dvc.yaml one after another in one process, and read what they wrote.

    python -m tests.pipeline_run [--stages NAME ...] FOLDER...

Libraries are imported once for all stages and projects; with five interpreters per run, an emulated processor would
spend most of its time on that.
"""

import argparse
import importlib
import logging
import os
import platform
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from sentiment.common.command import run_main

log = logging.getLogger(__name__)


def stages_of(root: Path) -> dict[str, dict[str, Any]]:
    """Return the stages in dvc.yaml of a project, in order."""
    stages: dict[str, dict[str, Any]] = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return stages


def output_paths(root: Path, stage: str) -> list[Path]:
    """Return what a stage writes by dvc.yaml: outs, metrics and plots."""
    written = stages_of(root)[stage]
    entries = [entry for key in ("outs", "metrics", "plots") for entry in written.get(key, [])]
    return [root / (entry if isinstance(entry, str) else next(iter(entry))) for entry in entries]


def output_files(root: Path, stage: str) -> dict[str, bytes]:
    """Return the content of every file that a stage wrote, by its path in the project."""
    paths = output_paths(root, stage)
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def remove_outputs(root: Path, stage: str) -> None:
    for path in output_paths(root, stage):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def assert_same_outputs(expected: Path, found: Path, stages: list[str], processor: str) -> None:
    """Compare what stages wrote in two projects; fail with the first stage that differs, for others follow from it."""
    for stage in stages:
        native, emulated = output_files(expected, stage), output_files(found, stage)
        assert native
        assert emulated.keys() == native.keys()
        differing = [name for name in sorted(native) if emulated[name] != native[name]]
        assert not differing, f"stage {stage} writes other bytes on {processor}: {', '.join(differing)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", default=None, help="these (default: all of dvc.yaml)")
    parser.add_argument("folders", nargs="+", type=Path, help="projects")
    args = parser.parse_args()
    log.info("runs on %s", platform.machine())
    for folder in args.folders:
        os.chdir(folder)
        for name, stage in stages_of(folder).items():
            if args.stages is None or name in args.stages:
                program, option, module, *arguments = shlex.split(stage["cmd"])
                assert (program, option) == ("python", "-m")
                sys.argv = [module, *arguments]
                importlib.import_module(module).main()


if __name__ == "__main__":
    run_main(main)
