"""A classifier with `train.abstain_precision` answers "unsure": as a library, in `predict`, in `batch`, as a server."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from sentiment import SentimentClassifier
from sentiment.cli.app import main
from sentiment.evaluation.curves import coverage_points
from sentiment.evaluation.metrics import Predictions, abstention_metrics
from tests.project import Project
from tests.serving.conftest import running

TEXTS = ["I love this dress, it fits perfectly", "The seams came loose after one wash", "It has a zipper", ""]


@pytest.fixture(scope="module")
def unsure(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that is unsure from just below the probability of the third text to below that of the first."""
    folder = tmp_path_factory.mktemp("unsure") / "classifier"
    shutil.copytree(classifier, folder)
    low, *_, high = sorted(SentimentClassifier.load(classifier).predict_proba(TEXTS[:3]).tolist())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"unsure": [low + 1e-4, high]}))
    return folder


def expected(folder: Path) -> list[str | None]:
    """Return the label of each text, by the probabilities alone."""
    classifier = SentimentClassifier.load(folder)
    order = np.argsort(classifier.predict_proba(TEXTS[:3]))
    labels: list[str | None] = ["unsure", "unsure", "unsure", None]
    labels[order[0]], labels[order[2]] = "negative", "positive"
    return labels


def run(*arguments: str) -> None:
    """Call a `sentiment` command, which succeeds."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 0


def test_the_library_and_the_command_line(unsure: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = SentimentClassifier.load(unsure)
    labels = expected(unsure)
    assert sorted(map(str, labels)) == ["None", "negative", "positive", "unsure"]
    assert classifier.predict(TEXTS) == labels
    assert "unsure" not in classifier.predict(TEXTS, threshold=0.5)
    monkeypatch.chdir(tmp_path)
    Path("new.jsonl").write_text("".join(json.dumps({"Title": "", "Review Text": text}) + "\n" for text in TEXTS))
    run("predict", "new.jsonl", "--classifier", str(unsure), "--output", "labels.parquet")
    assert pq.read_table("labels.parquet")["sentiment"].to_pylist() == labels
    Path("in").mkdir()
    shutil.copy("new.jsonl", "in")
    run("batch", "in", "--output", "out", "--classifier", str(unsure))
    [written] = Path("out").rglob("*.parquet")
    assert pq.read_table(written)["sentiment"].to_pylist() == labels


@pytest.mark.server
def test_the_server_says_unsure_before_the_two_labels(unsure: Path, tmp_path: Path) -> None:
    with running(tmp_path, unsure) as server, server.client() as client:
        answers = client.post("/predict", json={"inputs": [[text] for text in TEXTS[:3]]}).json()
        assert [answer[0]["label"] for answer in answers] == expected(unsure)[:3]
        for answer in answers:
            assert {one["label"] for one in answer[-2:]} == {"positive", "negative"}
            assert answer[0]["score"] == max(one["score"] for one in answer) or answer[0]["label"] != "unsure"
        assert len(client.get("/info").json()["unsure"]) == 2


@pytest.mark.slow
def test_the_pipeline_measures_what_is_sure(completed_project: Project) -> None:
    project = completed_project
    project.set_params(
        train={
            "solver": "lbfgs",
            "l2": 0.1,
            "abstain_precision": 0.8,
            "calibration": "temperature",
            "threshold": "best_f1",
        }
    )
    outcome = project.run("dvc", "repro")
    assert "train: unsure from 0." in outcome.stderr
    assert "train: threshold 0." in outcome.stderr
    table = pq.read_table(project.root / "data/evaluate/val.parquet").to_pydict()
    values = json.loads((project.root / "metrics/val.json").read_text())
    sure = [row for row in zip(table["label"], table["predicted"], table["sure"], strict=True) if row[2]]
    assert 0 < len(sure) < len(table["sure"])
    assert values["coverage"] == len(sure) / len(table["sure"])
    for name, label in (("sure_precision", 1), ("sure_precision_negative", 0)):
        hits = [actual == label for actual, predicted, _ in sure if predicted == label]
        assert values[name] == sum(hits) / len(hits) >= 0.8  # on val, where it was chosen
    assert 0 <= values["uncalibrated_error"] < 1
    config = json.loads((project.root / "models/classifier/config.json").read_text())
    assert config["temperature"] != 1
    assert config["threshold"] != 0.5
    assert yaml.safe_load((project.root / "params.yaml").read_text())["train"]["threshold"] == "best_f1"


def test_coverage_and_risk_by_hand() -> None:
    labels, predicted = np.array([1, 1, 0, 0], np.int8), np.array([1, 1, 1, 0], np.int8)
    predictions = Predictions(np.array([0.9, 0.8, 0.8, 0.4], np.float32), predicted)
    coverage, risk = coverage_points(labels, predicted, predictions.probabilities)
    assert coverage.tolist() == [0.25, 0.75, 1.0]  # sure to 0.9; to 0.8, twice; to 0.6
    assert risk.tolist() == [0, 1 / 3, 1 / 4]
    metrics = abstention_metrics(labels, predicted, np.array([True, True, True, False]))
    assert (metrics["coverage"], metrics["sure_precision"]) == (0.75, 2 / 3)
    assert "sure_precision_negative" not in metrics
