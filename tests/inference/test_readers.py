"""Texts from arguments and from every input format get the same predictions; unusable input gets one line."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.inference.classifier import SentimentClassifier
from tests.inference.conftest import Predict

ROWS = [("Lovely", "Soft and warm, fits well"), ("", "Fell apart in a week"), ("No body", ""), ("Fine", 'Says "yes"')]
JOINED = ["Lovely. Soft and warm, fits well", "Fell apart in a week", "", 'Fine. Says "yes"']


def rows_of(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


def probabilities(out: str) -> list[float | None]:
    return [float(row["probability"]) if row["probability"] else None for row in rows_of(out)]


@pytest.fixture
def expected(sentiment: SentimentClassifier) -> list[Any]:
    values = [float(p) for p in sentiment.predict_proba(JOINED)]
    return [pytest.approx(p, abs=1e-4) if text else None for p, text in zip(values, JOINED, strict=True)]


def as_csv(path: Path, names: tuple[str, str] = ("Title", "Review Text")) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerows([("id", "Age", *names), *((f"r{index}", 30, *row) for index, row in enumerate(ROWS))])
    return path


def test_texts_as_arguments(predict: Predict, expected: list[float | None]) -> None:
    outcome = predict(*JOINED)
    assert probabilities(outcome.out) == expected
    assert [row["id"] for row in rows_of(outcome.out)] == ["1", "2", "3", "4"]
    assert "1 without text" in outcome.stderr


def test_csv(predict: Predict, expected: list[float | None], tmp_path: Path) -> None:
    outcome = predict(as_csv(tmp_path / "new.csv"))
    assert probabilities(outcome.out) == expected
    assert [row["id"] for row in rows_of(outcome.out)] == ["r0", "r1", "r2", "r3"]
    assert [row["sentiment"] for row in rows_of(outcome.out)][2] == ""


def test_parquet(predict: Predict, expected: list[float | None], tmp_path: Path) -> None:
    titles, bodies = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"Title": [t or None for t in titles], "Review Text": bodies}), tmp_path / "new.parquet")
    assert probabilities(predict(tmp_path / "new.parquet").out) == expected


def test_lines_on_standard_input(predict: Predict, expected: list[float | None]) -> None:
    lines = "\ufeff" + "".join(f"{text}\r\n" for text in JOINED)
    assert probabilities(predict("-", stdin=lines.encode()).out) == expected


def test_json_lines_on_standard_input(predict: Predict, expected: list[float | None]) -> None:
    rows = [{"Title": title, "Review Text": body, "n": 1} for title, body in ROWS]
    del rows[1]["Title"]  # absent, null and empty are the same
    rows[2]["Review Text"] = None
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    assert probabilities(predict("-", stdin=lines.encode()).out) == expected


def test_other_text_columns(predict: Predict, expected: list[float | None], tmp_path: Path) -> None:
    path = as_csv(tmp_path / "new.csv", ("headline", "body"))
    assert probabilities(predict(path, "--text-column", "headline", "--text-column", "body").out) == expected


def test_the_threshold_decides_the_label(predict: Predict, sentiment: SentimentClassifier) -> None:
    probability = float(sentiment.predict_proba(["Lovely"])[0])
    for threshold, label in ((probability - 0.01, "positive"), (probability + 0.01, "negative")):
        assert rows_of(predict("Lovely", "--threshold", threshold).out)[0]["sentiment"] == label


def test_an_empty_standard_input_is_no_error(predict: Predict) -> None:
    outcome = predict("-")
    assert outcome.status == 0
    assert rows_of(outcome.out) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "is empty, expected a header row"),
        (b"headline,body\na,b\n", "columns 'Title', 'Review Text' are missing; found 'headline', 'body'"),
        (b"Title,Title,Review Text\na,b,c\n", "column 'Title' occurs 2 times"),
        (b'Title,"Review Text\n', "the header has a quoted field that is never closed"),
    ],
)
def test_a_csv_that_cannot_be_used(predict: Predict, tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "new.csv"
    if content is not None:
        path.write_bytes(content)
    outcome = predict(path, "--output", tmp_path / "labels.csv")
    assert outcome.status == 1
    assert message in outcome.stderr
    assert not (tmp_path / "labels.csv").exists()


def test_parquet_that_cannot_be_used(predict: Predict, tmp_path: Path) -> None:
    path = tmp_path / "new.parquet"
    path.write_bytes(b"no table")
    assert "not a Parquet file" in predict(path).stderr
    pq.write_table(pa.table({"Title": [1], "Review Text": ["a"]}), path)
    assert "column 'Title' has type int64, expected text" in predict(path).stderr


def test_json_lines_without_the_text_columns(predict: Predict) -> None:
    outcome = predict("-", stdin=b'{"body": "a"}\n')
    assert outcome.status == 1
    assert "columns 'Title', 'Review Text' are missing; found 'body'" in outcome.stderr


def test_an_unsupported_ending_on_s3_is_refused(predict: Predict) -> None:
    outcome = predict("s3://reviews/new.xls")
    assert outcome.status == 1
    assert "expected a name that ends in .csv, .tsv" in outcome.stderr


def test_a_file_among_texts_is_refused(predict: Predict, tmp_path: Path) -> None:
    outcome = predict(as_csv(tmp_path / "a.csv"), "Lovely")
    assert outcome.status == 1
    assert "one file at a time" in outcome.stderr
