"""The Makefile: its targets work in a folder whose name has a blank and letters beyond ASCII."""

import os
import re
from pathlib import Path

import pytest
import yaml

from tests.pipeline.test_commands import STAGES, stages_run
from tests.project import ROOT, Project

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
    setup = project.run("make", "setup", f"PYTHON={stub}")
    assert re.search(r"setup: installs \d{3} packages into .venv: about \d GB on disk", setup.stderr)
    calls = [line for line in log.read_text().splitlines() if line.startswith("-m")]
    assert calls[0] == "-m venv .venv"
    assert re.search(r" torch==[\d.]+ uv==[\d.]+$", calls[1])
    assert calls[2].endswith("-r requirements.txt")  # there is no uv here, so pip installs everything
    assert calls[3] == "-m compileall -q -j 0 .venv/lib"
    assert calls[4].endswith("--no-deps --editable .")
    assert (project.root / ".venv" / ".installed").exists()


def make(project: Project, *arguments: str) -> str:
    """Run a target with this environment instead of an installation in `.venv`; return its output."""
    done = project.run("make", "-o", ".venv/.installed", *arguments)
    return done.stdout + done.stderr


def test_help_lists_every_target_in_three_groups() -> None:
    groups = Project(ROOT).run("make", "help").stdout.split("\n\n")
    assert [group.splitlines()[0][:1].isupper() for group in groups] == [True] * 3
    listed = {line.split()[1] for group in groups for line in group.splitlines()[1:]}
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert listed == targets


@pytest.mark.slow
def test_back_restores_params_that_have_the_size_and_the_second_of_the_committed_ones(
    completed_project: Project,
) -> None:
    """Git takes such a file for unchanged, and `git checkout` leaves it as it is."""
    root = completed_project.root
    committed = {name: (root / name).read_bytes() for name in ("params.yaml", "dvc.lock", "metrics/val.json")}
    classifier = (root / "models/classifier/config.json").read_bytes()
    completed_project.run("dvc", "exp", "run", "-q", "-S", "train.threshold=0.6")
    assert (root / "models/classifier/config.json").read_bytes() != classifier
    index_time = (root / ".git/index").stat().st_mtime_ns
    (root / "params.yaml").write_bytes(committed["params.yaml"])
    os.utime(root / "params.yaml", ns=(index_time, index_time))
    completed_project.run("git", "add", "params.yaml")
    with (root / "params.yaml").open("r+b") as file:  # in place: the same inode
        file.write(committed["params.yaml"].replace(b"0.5", b"0.6"))
    os.utime(root / "params.yaml", ns=(index_time, index_time))
    make(completed_project, "back")
    assert {name: (root / name).read_bytes() for name in committed} == committed
    assert (root / "models/classifier/config.json").read_bytes() == classifier
    assert completed_project.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.slow
def test_reviews_without_a_network_says_how_to_get_them(project: Project) -> None:
    endpoint = "http://127.0.0.1:9"  # discard: nothing listens
    project.run("dvc", "remote", "modify", "--local", "reviews-source", "endpointurl", endpoint)
    failed = project.run("make", "-o", ".venv/.installed", "reviews", check=False)
    assert failed.returncode != 0
    assert "error: the public bucket cannot be read from here" in failed.stderr
    assert "make s3 SOURCE=file.csv" in failed.stderr


def test_the_spelling_of_files_that_git_does_not_track_is_not_checked(project: Project) -> None:
    misspelled = "yletanifed"[::-1]  # so that this file is spelled well
    (project.root / "labels.csv").write_text(f"id,text\n1,{misspelled} dress\n")
    command = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.endswith("codespell"))
    assert project.run("bash", "-c", command).stdout == ""
    (project.root / "tools" / "README.md").write_text(f"{misspelled} dress\n")
    project.run("git", "add", "tools/README.md")
    assert f"{misspelled} ==> " in project.run("bash", "-c", command, check=False).stdout


@pytest.mark.slow
def test_verify_runs_every_stage_and_shows_the_one_output_that_has_another_byte(completed_project: Project) -> None:
    """The others, metrics included, are the same bytes again."""
    root = completed_project.root
    features = root / "data/encode/test.npy"
    content = bytearray(features.read_bytes())
    content[-1] ^= 1
    features.unlink()  # a link into DVC's cache
    features.write_bytes(content)
    completed_project.run("dvc", "commit", "--force", "encode")
    completed_project.commit("An output with another byte")
    lock = yaml.safe_load((root / "dvc.lock").read_text())
    done = completed_project.run("make", "-o", ".venv/.installed", "verify", check=False)
    assert done.returncode != 0
    assert stages_run(done.stdout) == STAGES
    assert re.findall(r"^diff --git a/(\S+)", done.stdout, re.MULTILINE) == ["dvc.lock"]
    changed = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("-      ")]
    assert changed == [lock["stages"]["encode"]["outs"][0]["md5"]], done.stdout
    assert "every output has the committed hash" not in done.stdout
    assert completed_project.run("git", "status", "--short").stdout == ""
