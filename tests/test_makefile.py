"""The Makefile: its targets work in a folder whose name has a blank and letters beyond ASCII."""

import sys
from pathlib import Path

import pytest

from tests.project import Project

FOLDER = "with blank and ü"

# stands for Python in `make setup`: writes its arguments to a log, and creates the venv as a copy of itself
STUB = """#!/bin/sh
echo "$@" >> "{log}"
if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin" && cp "{stub}" "$3/bin/python"; fi
"""


def test_setup_in_a_path_with_a_blank_installs_lock_and_package(project_template: Project, tmp_path: Path) -> None:
    project = project_template.clone(tmp_path / FOLDER)
    stub, log = tmp_path / "python", tmp_path / "log"
    stub.write_text(STUB.format(log=log, stub=stub))
    stub.chmod(0o755)
    project.run("make", "setup", f"PYTHON={stub}")
    calls = [line for line in log.read_text().splitlines() if line.startswith("-m")]
    assert calls[0] == "-m venv .venv"
    assert calls[1].endswith("-r requirements.txt")
    assert calls[2] == "-m compileall -q -j 0 .venv/lib"
    assert calls[3].endswith("--no-deps --editable .")
    assert (project.root / ".venv" / ".installed").exists()


def make(project: Project, *arguments: str) -> str:
    """Run a target with this environment instead of an installation in `.venv`; return its output."""
    done = project.run("make", "-o", ".venv/.installed", *arguments)
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.s3
def test_repro_experiment_server_push_and_pull_in_a_path_with_a_blank(
    project_template: Project, tmp_path: Path
) -> None:
    from tests.s3_server import free_port

    project = project_template.clone(tmp_path / FOLDER)
    make(project, "repro")
    project.commit("Run the pipeline")
    make(project, "s3", f"PORT={free_port()}", "SOURCE=data/raw/sample.csv")
    try:
        assert "FAIL" not in make(project, "doctor")
        make(project, "push")
        make(project, "reviews")
        clone = project.clone(tmp_path / "clone")
        make(clone, "s3", f"USE={project.root}")
        make(clone, "pull")
        assert (clone.root / "models/classifier/config.json").is_file()
    finally:
        make(project, "s3-stop")
    project.run("git", "reset", "-q", "--hard")  # the import of the reviews was staged
    project.run("dvc", "exp", "run", "-n", "strict", "-S", "train.threshold=0.97")
    assert "strict" in make(project, "experiments")
    make(project, "report")
    labeled = project.run(sys.executable, "-m", "sentiment", "predict", "I love this dress, it fits perfectly")
    assert labeled.stdout.splitlines()[1].startswith("1,0.")
