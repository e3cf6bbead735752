"""What evaluate writes, calculated once more from its own predictions."""

import csv
import json
import pickle
import shlex

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from numpy.typing import NDArray
from sklearn import metrics

from sentiment.data.text import SEEN_TEXTS, hash_texts, write_seen_texts
from sentiment.evaluation.metrics import PRIMARY_METRICS, SLICE_COLUMNS, slice_values
from sentiment.head.classifier import ENCODER, Classifier
from sentiment.head.words import Tokens
from tests.project import Project

Written = tuple[Project, str, NDArray[np.int8], NDArray[np.float32]]

OTHERS = ("reviews_seen_by_encoder", "unknown_tokens", "truncated_texts")


@pytest.fixture(params=["val", "test"])
def written(completed_template: Project, request: pytest.FixtureRequest) -> Written:
    """The finished project, a split, and labels and probabilities of its predictions."""
    table = pq.read_table(completed_template.root / f"data/evaluate/{request.param}.parquet")
    return completed_template, request.param, table["label"].to_numpy(), table["probability"].to_numpy()


def test_metrics_follow_from_the_predictions(written: Written) -> None:
    project, split, labels, probabilities = written
    values = json.loads((project.root / "data/evaluate/metrics.json").read_text())[split]
    predicted = probabilities >= 0.5
    assert values["rows"] == len(labels)
    assert values["accuracy"] == metrics.accuracy_score(labels, predicted)
    assert values["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels, probabilities), rel=1e-12)
    assert values["f1"] == pytest.approx(metrics.f1_score(labels, predicted), rel=1e-12)
    assert values["log_loss"] == pytest.approx(metrics.log_loss(labels, probabilities.astype(float)))
    wanted = "majority_accuracy balanced_accuracy precision recall f1_macro average_precision brier"
    primary = json.loads((project.root / f"metrics/{split}.json").read_text())
    assert primary == {name: values[name] for name in (*PRIMARY_METRICS, *OTHERS)}
    assert {"accuracy_low", "roc_auc_high", "log_loss"} <= set(primary)
    assert set(wanted.split()) | {"expected_calibration_error", "accuracy_low", "roc_auc_high"} <= set(values)


def test_whole_ratings_among_fractional_ones_are_slices_without_a_decimal() -> None:
    table = pa.table({"text": ["a", "b", "c"], "rating": [5.0, 4.25, 4.5]})
    assert slice_values(table, ["rating"], [])["rating"].tolist() == ["5", "4.25", "4.5"]


def test_every_slice_covers_every_review(written: Written) -> None:
    project, split, labels, probabilities = written
    with (project.root / {"val": "metrics/slices.csv", "test": "metrics/test/slices.csv"}[split]).open() as file:
        rows = list(csv.DictReader(file))
    right = ((probabilities >= 0.5) == labels).sum()
    for name in ("Department Name", "rating", "length"):
        of_slice = [row for row in rows if row["slice"] == name]
        assert sum(int(row["rows"]) for row in of_slice) == len(labels)
        assert sum(float(row["accuracy"]) * int(row["rows"]) for row in of_slice) == pytest.approx(right)


def test_the_curves_are_those_of_the_predictions(written: Written) -> None:
    project, split, labels, probabilities = written
    folder = project.root / {"val": "metrics/plots", "test": "metrics/test/plots"}[split]
    points = {path.stem: list(csv.DictReader(path.read_text().splitlines())) for path in folder.iterdir()}
    assert set(points) == {"calibration", "confusion", "coverage", "precision_recall", "roc"}
    last = {name: float(value) for name, value in points["coverage"][-1].items()}
    assert last == {"coverage": 1.0, "risk": pytest.approx(((probabilities >= 0.5) != labels).mean())}
    cells = metrics.confusion_matrix(labels, probabilities >= 0.5).ravel().tolist()
    assert [int(point["rows"]) for point in points["confusion"]] == cells
    assert sum(int(point["rows"]) for point in points["calibration"]) == len(labels)
    rates = [[float(point[f"{side}_positive_rate"]) for point in points["roc"]] for side in ("false", "true")]
    assert metrics.auc(*rates) == pytest.approx(metrics.roc_auc_score(labels, probabilities))


def test_predictions_name_every_review(written: Written) -> None:
    project, split, labels, _ = written
    table = pq.read_table(project.root / f"data/split/{split}.parquet")
    predictions = pq.read_table(project.root / f"data/evaluate/{split}.parquet")
    assert predictions["id"].to_pylist() == table["id"].to_pylist()
    assert predictions["label"].to_pylist() == table["label"].to_pylist() == labels.tolist()
    assert len(set(predictions["id"].to_pylist())) == len(labels)


def test_the_metrics_and_plots_that_dvc_shows_are_of_val(completed_template: Project) -> None:
    """Whoever compares experiments by them chooses by val; test is for one look."""
    shown = json.loads(completed_template.run("dvc", "metrics", "show", "--json").stdout)
    assert set(shown[""]["data"]) == {
        f"metrics/{name}.json" for name in ("check", "finetune/metrics", "prepare", "split", "train/metrics", "val")
    }
    plots = json.loads(completed_template.run("dvc", "plots", "show", "--json").stdout)["data"]
    assert [path for path in plots if "test" in path] == []


@pytest.mark.slow
def test_with_folds_val_and_test_are_the_cross_validated_reviews(completed_project: Project) -> None:
    project = completed_project
    project.set_params(split={"folds": 3}, train={"solver": "lbfgs", "l2": 0.1})
    outcome = project.run("dvc", "repro")
    every_id = {
        one
        for split in ("train", "val")
        for one in pq.read_table(project.root / f"data/split/{split}.parquet")["id"].to_pylist()
    }
    for path in ("metrics/{}.json", "data/evaluate/{}.parquet"):
        val, test = ((project.root / path.format(split)).read_bytes() for split in ("val", "test"))
        assert val == test
    assert (project.root / "metrics/slices.csv").read_bytes() == (project.root / "metrics/test/slices.csv").read_bytes()
    values = json.loads((project.root / "data/evaluate/metrics.json").read_text())
    assert values["val"] == values["test"]
    scored = pq.read_table(project.root / "data/evaluate/val.parquet")["id"].to_pylist()
    assert every_id <= set(scored)
    reviews = pq.read_table(project.root / "data/split/test.parquet")
    tokens = Tokens.read(project.root / "models/classifier" / ENCODER, [reviews["text"].to_pylist()])
    features = np.load(project.root / "data/encode/test.npy")
    probabilities = pq.read_table(project.root / "data/evaluate/test.parquet")["probability"].to_numpy()
    for fold in range(3):
        rows = reviews["fold"].to_numpy() == fold
        of_others = Classifier.load(project.root / "models/classifier/folds" / str(fold))
        np.testing.assert_array_equal(probabilities[rows], of_others.predict_proba(features[rows], tokens[rows]))
    assert f"evaluate: {len(scored)} cross-validated reviews, accuracy 0." in outcome.stderr
    project.run("python", "-m", "sentiment", "report", "--split", "val")
    assert "not in this workspace" not in (project.root / "report.html").read_text()


def test_reviews_that_the_encoder_saw_are_counted_and_stop_the_run(completed_project: Project) -> None:
    project, encoder = completed_project, completed_project.root / "models" / "encoder"
    evaluate = shlex.split(yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"]["evaluate"]["cmd"])
    n_seen = {"val": 2, "test": 3}
    texts = [
        text.upper()
        for split, n in n_seen.items()
        for text in pq.read_table(project.root / f"data/split/{split}.parquet")["text"].to_pylist()[:n]
    ]
    before = {split: json.loads((project.root / f"metrics/{split}.json").read_text()) for split in n_seen}
    assert [metrics["reviews_seen_by_encoder"] for metrics in before.values()] == [0, 0]

    (encoder / SEEN_TEXTS).unlink()  # a link into DVC's cache
    write_seen_texts(encoder, hash_texts(["seen, but no review that is scored", *texts[:2]]))
    of_val = project.run(*evaluate, check=False)
    write_seen_texts(encoder, hash_texts(["seen, but no review that is scored", *texts]))
    of_both = project.run(*evaluate, check=False)
    assert (of_val.returncode, of_both.returncode) == (1, 1)
    message = "models/encoder/trained_on.npy: the encoder was trained on 2 of the 204 val reviews"
    for done, sentence in ((of_val, f"{message}; use"), (of_both, f"{message} and 3 of the 196 test reviews; use")):
        assert len(done.stderr.splitlines()) == 1
        assert sentence in done.stderr

    project.set_params(evaluate={"allow_leakage": True})
    project.run(*evaluate)
    for split, n in n_seen.items():
        after = json.loads((project.root / f"metrics/{split}.json").read_text())
        assert after == {**before[split], "reviews_seen_by_encoder": n}
    card = (project.root / "models/README.md").read_text()
    assert "of which the encoder was trained on 3: the metrics are too good." in card


def test_slices_that_the_table_lacks_stop_it_before_it_reads_features(completed_project: Project) -> None:
    project = completed_project
    evaluate = shlex.split(yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"]["evaluate"]["cmd"])
    columns = ["Department Name", "Size", "Color"]  # prepare has not run with these
    project.set_params(prepare={"slice_columns": columns}, evaluate={"slices": [*columns, "length"]})
    (project.root / "data/encode/val.npy").unlink()
    done = project.run(*evaluate, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "evaluate.slices: no column 'Size', 'Color'; expected length, " in done.stderr


def test_a_damaged_list_of_texts_is_one_line(completed_project: Project) -> None:
    evaluate = shlex.split(
        yaml.safe_load((completed_project.root / "dvc.yaml").read_text())["stages"]["evaluate"]["cmd"]
    )
    listed = completed_project.root / "models/encoder" / SEEN_TEXTS
    listed.unlink()
    for content in (b"", b"no array", pickle.dumps(["text"])):
        listed.write_bytes(content)
        done = completed_project.run(*evaluate, check=False)
        assert done.returncode == 1
        assert "trained_on.npy: not a list of hashes" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_rating_of_zero_is_a_slice_and_a_missing_value_is_none() -> None:
    table = pa.table({"rating": [0, 5], "Department Name": ["", "Tops"]})
    values = slice_values(table, ("rating", "Department Name"), ())
    assert [list(names) for names in values.values()] == [["0", "5"], ["(none)", "Tops"]]


def test_no_slices_write_a_header_alone(completed_project: Project) -> None:
    completed_project.set_params(evaluate={"slices": []})
    outcome = completed_project.run("dvc", "repro", "-q")
    assert (completed_project.root / "metrics/slices.csv").read_text() == ",".join(SLICE_COLUMNS) + "\n"
    assert "evaluate: 204 val reviews, accuracy 0." in outcome.stderr
