"""--rev takes a classifier from a commit, tag or experiment and leaves the workspace alone."""

import csv
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sentiment.inference.classifier import TEMPORARY_PREFIX, SentimentClassifier, temporary_folder
from tests.conftest import Project
from tests.inference.conftest import Predict

TEXT = "Lovely, soft and warm"


@pytest.fixture
def retrained(completed_project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The current folder: a project with tag `v1`, another classifier after it, and an experiment like `v1`."""
    for name, value in completed_project.environment(AWS_EC2_METADATA_DISABLED="true").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(completed_project.root)
    completed_project.run("git", "tag", "v1")
    completed_project.set_params(train={"learning_rate": 0.01})
    completed_project.run("dvc", "repro")
    completed_project.commit("Learn faster")
    completed_project.run("dvc", "exp", "run", "evaluate", "-n", "slow", "-S", "train.learning_rate=0.001")
    completed_project.run("git", "checkout", "-q", ".")
    completed_project.run("dvc", "checkout")
    return completed_project


@pytest.fixture
def probability(predict: Predict) -> Callable[..., float]:
    def ask(*arguments: str) -> float:
        outcome = predict(TEXT, "--classifier", "models/classifier", *arguments)
        assert outcome.status == 0, outcome.stderr
        return float(next(csv.DictReader(io.StringIO(outcome.out)))["probability"])

    return ask


def test_commits_tags_and_experiments(retrained: Project, predict: Predict, probability: Callable) -> None:
    now, before = probability(), probability("--rev", "v1")
    assert abs(now - before) > 1e-3
    assert probability("--rev", "HEAD") == now
    assert probability("--rev", "HEAD~1") == before
    assert probability("--rev", "slow") == before
    assert probability() == now
    assert retrained.run("git", "status", "--porcelain").stdout == ""

    assert SentimentClassifier.load("v1").predict_proba([TEXT])[0] == pytest.approx(before, abs=1e-6)

    # the encoder comes from the revision too
    shutil.rmtree(retrained.root / "models" / "encoder")
    shutil.rmtree(retrained.root / "models" / "classifier" / "encoder")
    assert "is missing" in predict("Lovely", "--classifier", "models/classifier").stderr
    assert probability("--rev", "v1") == before
    assert list(Path(tempfile.gettempdir()).glob(f"{TEMPORARY_PREFIX}{os.getpid()}-*")) == []

    # what a revision does not have is one line
    first = retrained.run("git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    shutil.rmtree(retrained.root / ".dvc" / "cache")
    for rev, message in (
        ("nosuch", "nosuch: no such commit, branch, tag or experiment"),
        (first, f"not available for {first}"),
        ("v1", "not available for v1"),
    ):
        outcome = predict("Lovely", "--classifier", "models/classifier", "--rev", rev)
        assert outcome.status == 1
        assert message in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1


def test_a_folder_of_a_killed_process_is_deleted_and_that_of_a_live_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=subprocess.PIPE, check=True)
    for pid in (int(ended.stdout), os.getpid()):
        (tmp_path / f"{TEMPORARY_PREFIX}{pid}-x").mkdir()
    with temporary_folder() as folder:
        assert folder.parent == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == [f"{TEMPORARY_PREFIX}{os.getpid()}-x"]
