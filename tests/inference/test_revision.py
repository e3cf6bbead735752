"""--rev takes a classifier from a commit, tag or experiment and leaves the workspace alone."""

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest

from sentiment.experiments.revisions import SCRATCH
from sentiment.inference.classifier import SentimentClassifier
from tests.inference.conftest import Predict
from tests.project import Project

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


@pytest.mark.slow
def test_commits_tags_and_experiments(
    retrained: Project, predict: Predict, probability: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, before = probability(), probability("--rev", "v1")
    assert abs(now - before) > 1e-3
    assert probability("--rev", "HEAD") == now
    assert probability("--rev", "HEAD~1") == before
    assert probability("--rev", "slow") == before
    assert probability() == now
    assert retrained.run("git", "status", "--porcelain").stdout == ""

    reviews, labels = retrained.root.parent / "reviews.jsonl", retrained.root.parent / "labels"
    reviews.write_text(json.dumps({"text": TEXT}) + "\n")
    retrained.run("sentiment", "batch", str(reviews), "--output", str(labels), "--text-column", "text", "--rev", "v1")
    (written,) = labels.glob("*.parquet")
    assert pq.read_table(written)["probability"].to_pylist() == [pytest.approx(before, abs=1e-6)]

    scratch = retrained.root.parent / "tmp"
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    (scratch / f".{SCRATCH}.4194305.partial").mkdir(parents=True)  # no system has a process of this number
    assert SentimentClassifier.load_revision("v1").predict_proba([TEXT])[0] == pytest.approx(before, abs=1e-6)

    # the encoder comes from the revision too
    shutil.rmtree(retrained.root / "models" / "encoder")
    shutil.rmtree(retrained.root / "models" / "classifier" / "encoder")
    assert "is missing" in predict("Lovely", "--classifier", "models/classifier").stderr
    assert probability("--rev", "v1") == before
    assert list(scratch.iterdir()) == [], "what a killed process left, and what this one made"

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
