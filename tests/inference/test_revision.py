"""--rev takes a classifier from a commit, tag or experiment and leaves the workspace alone."""

import csv
import io
import shutil
from collections.abc import Callable

import pytest

from tests.conftest import Project


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
def probability(predict: Callable) -> Callable[..., float]:
    def ask(*arguments: str) -> float:
        outcome = predict("Lovely, soft and warm", "--classifier", "models/classifier", *arguments)
        assert outcome.status == 0, outcome.stderr
        return float(next(csv.DictReader(io.StringIO(outcome.out)))["probability"])

    return ask


def test_commits_tags_and_experiments(retrained: Project, predict: Callable, probability: Callable) -> None:
    now, before = probability(), probability("--rev", "v1")
    assert abs(now - before) > 1e-3
    assert probability("--rev", "HEAD") == now
    assert probability("--rev", "HEAD~1") == before
    assert probability("--rev", "slow") == before
    assert probability() == now
    assert retrained.run("git", "status", "--porcelain").stdout == ""

    # the encoder comes from the revision too
    shutil.rmtree(retrained.root / "models" / "encoder")
    assert "is missing" in predict("Lovely", "--classifier", "models/classifier").stderr
    assert probability("--rev", "v1") == before

    # and what a revision does not have is said in one line
    first = retrained.run("git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    shutil.rmtree(retrained.root / ".dvc" / "cache")
    for rev, message in (
        ("nosuch", "unknown Git revision 'nosuch'"),
        (first, "is in neither DVC's cache nor the remote"),
        ("v1", "is in neither DVC's cache nor the remote"),
    ):
        outcome = predict("Lovely", "--classifier", "models/classifier", "--rev", rev)
        assert outcome.status == 1
        assert message in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1
