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
from sentiment.evaluation.metrics import PRIMARY_METRICS, SLICE_COLUMNS
from sentiment.evaluation.scoring import slice_values
from tests.project import Project

Written = tuple[Project, NDArray[np.int8], NDArray[np.float32]]

OTHERS = ("test_reviews_seen_by_encoder", "unknown_tokens", "truncated_texts")


@pytest.fixture
def written(completed_template: Project) -> Written:
    """The finished project, and labels and probabilities of its test predictions."""
    table = pq.read_table(completed_template.root / "data/evaluate/predictions.parquet")
    return completed_template, table["label"].to_numpy(), table["probability"].to_numpy()


def test_metrics_follow_from_the_predictions(written: Written) -> None:
    project, labels, probabilities = written
    values = json.loads((project.root / "data/evaluate/metrics.json").read_text())
    predicted = probabilities >= 0.5
    assert values["rows"] == len(labels)
    assert values["accuracy"] == metrics.accuracy_score(labels, predicted)
    assert values["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels, probabilities), rel=1e-12)
    assert values["f1"] == pytest.approx(metrics.f1_score(labels, predicted), rel=1e-12)
    assert values["log_loss"] == pytest.approx(metrics.log_loss(labels, probabilities.astype(float)))
    wanted = "majority_accuracy balanced_accuracy precision recall f1_macro average_precision brier"
    primary = json.loads((project.root / "metrics/evaluate.json").read_text())
    assert primary == {name: values[name] for name in (*PRIMARY_METRICS, *OTHERS)}
    assert set(wanted.split()) | {"expected_calibration_error", "accuracy_low", "roc_auc_high"} <= set(values)


def test_the_report_is_that_of_sklearn(written: Written) -> None:
    project, labels, probabilities = written
    report = json.loads((project.root / "data/evaluate/metrics.json").read_text())["by_label"]
    names = ["negative", "positive"]
    assert report == metrics.classification_report(
        labels, probabilities >= 0.5, target_names=names, output_dict=True, zero_division=0
    )


def test_whole_ratings_among_fractional_ones_are_slices_without_a_decimal() -> None:
    table = pa.table({"text": ["a", "b", "c"], "rating": [5.0, 4.25, 4.5]})
    assert slice_values(table, ["rating"], [])["rating"].tolist() == ["5", "4.25", "4.5"]


def test_every_slice_covers_every_test_review(written: Written) -> None:
    project, labels, probabilities = written
    with (project.root / "metrics/slices.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = ((probabilities >= 0.5) == labels).sum()
    for name in ("Department Name", "rating", "length"):
        of_slice = [row for row in rows if row["slice"] == name]
        assert sum(int(row["rows"]) for row in of_slice) == len(labels)
        assert sum(float(row["accuracy"]) * int(row["rows"]) for row in of_slice) == pytest.approx(right)


def test_predictions_name_every_test_review(written: Written) -> None:
    project, labels, _ = written
    test = pq.read_table(project.root / "data/split/test.parquet")
    predictions = pq.read_table(project.root / "data/evaluate/predictions.parquet")
    assert predictions["id"].to_pylist() == test["id"].to_pylist()
    assert predictions["label"].to_pylist() == test["label"].to_pylist() == labels.tolist()
    assert len(set(predictions["id"].to_pylist())) == len(labels)


def test_test_reviews_that_the_encoder_saw_are_counted_and_stop_the_run(completed_project: Project) -> None:
    project, encoder = completed_project, completed_project.root / "models" / "encoder"
    evaluate = shlex.split(yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"]["evaluate"]["cmd"])
    texts = pq.read_table(project.root / "data/split/test.parquet")["text"].to_pylist()
    before = json.loads((project.root / "metrics/evaluate.json").read_text())
    assert before["test_reviews_seen_by_encoder"] == 0

    (encoder / SEEN_TEXTS).unlink()  # a link into DVC's cache
    write_seen_texts(encoder, hash_texts(["seen, but no test review", *(text.upper() for text in texts[:3])]))
    done = project.run(*evaluate, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "models/encoder/trained_on.npy: the encoder was trained on 3 of the 196 test reviews" in done.stderr

    project.set_params(evaluate={"allow_leakage": True})
    project.run(*evaluate)
    after = json.loads((project.root / "metrics/evaluate.json").read_text())
    assert after == {**before, "test_reviews_seen_by_encoder": 3}
    card = (project.root / "models/README.md").read_text()
    assert "of which the encoder was trained on 3: the metrics are too good." in card


def test_slices_that_the_table_lacks_stop_it_before_it_reads_features(completed_project: Project) -> None:
    project = completed_project
    evaluate = shlex.split(yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"]["evaluate"]["cmd"])
    columns = ["Department Name", "Size", "Color"]  # prepare has not run with these
    project.set_params(prepare={"slice_columns": columns}, evaluate={"slices": [*columns, "length"]})
    (project.root / "data/encode/test.npy").unlink()
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
    assert "evaluate: 196 test reviews, accuracy 0." in outcome.stderr
