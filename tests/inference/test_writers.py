"""Every output format has the same predictions, the input's columns on request, and appears only when complete."""

import csv
import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.head.classifier import Classifier
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.streams import writing
from tests.inference.conftest import Predict


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.parquet"
    columns = {
        "id": ["a", "b", "c"],
        "Age": pa.array([31, None, 50], pa.int16()),
        "Title": ["Lovely", None, "Über"],
        "Review Text": ["Soft, warm", "", "Says “yes”\nand more"],
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_formats_agree(
    predict: Predict, reviews: Path, tmp_path: Path, sentiment: SentimentClassifier, kind: str
) -> None:
    output = tmp_path / f"labels.{kind}"
    assert predict(reviews, "--keep-columns", "--output", output).status == 0
    read: dict[str, Callable[[Path], pd.DataFrame]] = {
        "csv": pd.read_csv,
        "jsonl": lambda path: pd.read_json(path, lines=True),
        "parquet": pd.read_parquet,
    }
    labels = read[kind](output)
    assert list(labels) == ["id", "probability", "sentiment", "Age", "Title", "Review Text"]
    assert list(labels["id"]) == ["a", "b", "c"]
    expected = sentiment.predict_proba(["Lovely. Soft, warm", "", "Über. Says “yes”\nand more"])
    assert list(labels["probability"]) == pytest.approx(list(expected), abs=1e-4, nan_ok=True)
    assert labels["sentiment"][0] == ("positive" if labels["probability"][0] >= 0.5 else "negative")
    assert pd.isna(labels["sentiment"][1])
    assert labels["Review Text"][2] == "Says “yes”\nand more"
    assert labels["Age"][0] == 31


def test_parquet_keeps_the_types_of_its_input(predict: Predict, reviews: Path, tmp_path: Path) -> None:
    predict(reviews, "--keep-columns", "--output", tmp_path / "labels.parquet")
    schema = pq.read_schema(tmp_path / "labels.parquet")
    assert schema.field("Age").type == pa.int16()
    assert schema.field("probability").type == pa.float32()


def test_the_option_format_overrides_the_ending(predict: Predict, tmp_path: Path) -> None:
    predict("Lovely", "--output", tmp_path / "labels.out", "--format", "jsonl")
    assert json.loads((tmp_path / "labels.out").read_text())["id"] == 1
    refused = predict("Lovely", "--output", tmp_path / "labels.xlsx")
    assert "use --format text|csv|jsonl|parquet" in refused.stderr
    assert "needs a file" in predict("Lovely", "--format", "parquet").stderr


def test_readable_lines(predict: Predict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    outcome = predict("Lovely\x1b[31m dress", "so " * 100, " ", "--format", "text")
    lines = outcome.out.splitlines()
    assert lines[0].endswith("  Lovely [31m dress")
    assert all(len(line) <= 60 for line in lines)
    assert lines[1].endswith("…")
    assert lines[2] == "-                -  (no text)"


def test_json_values_pass_through(predict: Predict, tmp_path: Path) -> None:
    row = {"Title": "Lovely", "Review Text": "Soft", "tags": ["a"], "score": 1.5, "none": None}
    predict("-", "--keep-columns", "--output", tmp_path / "labels.jsonl", stdin=json.dumps(row).encode())
    kept = json.loads((tmp_path / "labels.jsonl").read_text())
    assert {key: kept[key] for key in row} == row
    predict("-", "--keep-columns", "--output", tmp_path / "labels.parquet", stdin=json.dumps(row).encode())
    assert pq.read_table(tmp_path / "labels.parquet")["tags"].to_pylist() == ['["a"]']


def test_a_carriage_return_in_a_field_stays_in_its_row(predict: Predict, tmp_path: Path) -> None:
    path, labels = tmp_path / "returns.csv", tmp_path / "labels.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["Title", "Review Text", "k"], ["a\rb", "only\rcr", "1"], ["c", "Soft\r\nwarm", "2"]]
        )
    predict(path, "--keep-columns", "--output", labels)
    assert pd.read_csv(labels)["k"].tolist() == [1, 2]
    with labels.open(newline="") as file:
        assert [row["Title"] for row in csv.DictReader(file)] == ["a\rb", "c"]
    assert labels.read_bytes().endswith(b",2\n")


def test_numbers_that_json_has_not_are_null(predict: Predict, tmp_path: Path) -> None:
    row = '{"Title": "a", "Review Text": "good", "price": NaN, "more": {"of": [1.5, Infinity]}}'
    predict("-", "--keep-columns", "--output", tmp_path / "labels.jsonl", stdin=row.encode())
    content = (tmp_path / "labels.jsonl").read_text()
    kept = json.loads(content, parse_constant=pytest.fail)
    assert (kept["price"], kept["more"]) == (None, {"of": [1.5, None]})


def test_a_name_of_a_column_that_a_spreadsheet_would_run_is_escaped(predict: Predict, tmp_path: Path) -> None:
    path = tmp_path / "formula.csv"
    path.write_text("Title,Review Text,=cmd()\na,b,c\n")
    outcome = predict(path, "--keep-columns", "--escape-formulas", "--format", "csv")
    assert outcome.out.splitlines()[0].endswith(",'=cmd()")


def test_an_input_column_named_like_an_output_column_is_refused(predict: Predict, tmp_path: Path) -> None:
    path = tmp_path / "labeled.csv"
    path.write_text("Title,Review Text,sentiment\na,b,positive\n")
    assert "has a column 'sentiment' already" in predict(path, "--keep-columns").stderr
    assert predict(path).status == 0


def test_a_failure_leaves_the_last_good_output(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "labels.csv"
    output.write_text("the last good one")
    calls = []

    def full_disk(self: Classifier, features: object, tokens: object) -> None:
        calls.append(features)
        raise OSError(28, "No space left on device", str(output))

    monkeypatch.setattr(Classifier, "predict_proba", full_disk)
    outcome = predict("Lovely", "--output", output)
    assert (outcome.status, len(calls)) == (1, 1)
    assert "No space left on device" in outcome.stderr
    assert output.read_text() == "the last good one"
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


def test_rows_keep_their_order(predict: Predict, tmp_path: Path) -> None:
    """Over several batches, of texts whose lengths are mixed."""
    texts = [f"number {index} " + "dress " * (index * 7 % 20) for index in range(1_000)]
    path = tmp_path / "many.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("Title", "Review Text"), *(("", text) for text in texts)])
    predict(path, "--keep-columns", "--output", tmp_path / "labels.csv")
    labels = pd.read_csv(tmp_path / "labels.csv")
    assert list(labels["id"]) == list(range(1, 1_001))
    assert list(labels["Review Text"]) == texts
    assert labels["probability"][999] == pytest.approx(labels_of(predict, texts[999]), abs=1e-4)


def labels_of(predict: Predict, text: str) -> float:
    return float(predict(text).out.splitlines()[1].split(",")[1])


def test_a_file_in_shared_memory_appears_when_it_is_complete() -> None:
    path = Path("/dev/shm") / f"labels-{uuid.uuid4().hex}.csv"
    if not path.parent.is_dir():
        pytest.skip("/dev/shm is Linux's")
    with suppress(KeyError), writing(str(path)) as file:
        file.write(b"id,")
        raise KeyError
    assert not path.exists()
