"""What one person pushes, another pulls: every byte, earlier runs, and experiments."""

import hashlib
from pathlib import Path

import pytest
import yaml

from tests.project import Project
from tests.s3_server import S3Server, start_command

pytestmark = pytest.mark.slow  # the pipeline runs, and is pushed


def hashes(root: Path) -> dict[str, str]:
    """Hash every file of every DVC output."""
    lock = yaml.safe_load((root / "dvc.lock").read_text())
    hashes_by_path = {}
    for stage in lock["stages"].values():
        for out in stage["outs"]:
            path = root / out["path"]
            for file in [path] if path.is_file() else sorted(path.rglob("*")):
                if file.is_file():
                    hashes_by_path[str(file.relative_to(root))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return hashes_by_path


def test_a_fresh_clone_gets_every_byte_and_computes_nothing(pushed_project: Project, pulled_clone: Project) -> None:
    expected = hashes(pushed_project.root)
    assert len(expected) > 15
    assert hashes(pulled_clone.root) == expected
    repro = pulled_clone.run("dvc", "repro")
    assert "Data and pipelines are up to date." in repro.stdout
    assert "Running stage" not in repro.stdout
    assert pulled_clone.run("git", "status", "--short").stdout == ""
    assert "in sync" in pulled_clone.run("dvc", "status", "-c").stdout


def test_an_earlier_run_comes_back_from_the_run_cache(pulled_clone: Project) -> None:
    pulled_clone.set_params(train={"threshold": 0.5})
    repro = pulled_clone.run("dvc", "repro", "--pull")
    assert "Stage 'train' is cached - skipping run" in repro.stdout
    assert "Stage 'evaluate' is cached - skipping run" in repro.stdout
    assert "Running stage" not in repro.stdout
    assert '"threshold": 0.5' in (pulled_clone.root / "models/classifier/config.json").read_text()


def test_two_clones_push_experiments_at_the_same_time(
    pushed_project: Project, s3_server: S3Server, tmp_path: Path
) -> None:
    origin = tmp_path / "origin.git"
    pushed_project.run("git", "clone", "-q", "--bare", str(pushed_project.root), str(origin))
    clones = {}
    for name, seed in (("one", 1), ("two", 2)):
        clones[name] = Project(tmp_path / name)
        pushed_project.run("git", "clone", "-q", str(origin), str(tmp_path / name))
        s3_server.connect(clones[name], "experiments")
        pushed_project.run(
            "cp", "-r", str(pushed_project.root / ".dvc" / "cache"), str(tmp_path / name / ".dvc" / "cache")
        )
        clones[name].run("dvc", "checkout")
        clones[name].run("dvc", "exp", "run", "-n", name, "-S", f"evaluate.seed={seed}")
    pushes = [start_command(clone, "dvc", "exp", "push", "origin", name) for name, clone in clones.items()]
    for push in pushes:
        output, _ = push.communicate(timeout=120)
        assert push.returncode == 0, output

    reader = Project(tmp_path / "reader")
    pushed_project.run("git", "clone", "-q", str(origin), str(reader.root))
    s3_server.connect(reader, "experiments")
    reader.run("dvc", "exp", "pull", "origin", "one", "two")
    for name, clone in clones.items():
        reader.run("dvc", "exp", "apply", name)
        assert hashes(reader.root) == hashes(clone.root)
