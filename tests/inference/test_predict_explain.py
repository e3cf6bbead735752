"""`sentiment predict --explain` as a JSON column, in memory that is bounded."""

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from sentiment.data.text import join_text
from sentiment.inference.classifier import SentimentClassifier
from tests.inference.conftest import EXPLAIN, TEXT, Predict
from tests.inference.test_explanation import with_head
from tests.peak_memory import peak_memory
from tests.project import SAMPLE, Project


def assert_adds_up(explanation: dict[str, Any], probability: float) -> None:
    words = explanation["words"]
    total = explanation["bias"] + explanation["special_tokens"] + sum(word["contribution"] for word in words)
    assert total == pytest.approx(explanation["logit"], abs=1e-6)
    assert 1 / (1 + np.exp(-explanation["logit"])) == pytest.approx(probability, abs=2e-6)
    assert [explanation["text"][word["start"] : word["end"]] for word in words] == [word["text"] for word in words]


@pytest.mark.parametrize("output", ["labels.csv", "labels.jsonl", "labels.parquet", "labels.csv.gz"])
def test_a_file_gets_a_json_column_and_else_what_it_gets_without(
    predict: Predict, completed_template: Project, tmp_path: Path, output: str
) -> None:
    rows = (completed_template.root / SAMPLE).read_text().splitlines(keepends=True)[:81]
    (tmp_path / "reviews.csv").write_text("".join(rows))
    command = [str(tmp_path / "reviews.csv"), "--keep-columns", "--output"]
    assert predict("--explain", *command, tmp_path / output).status == 0
    assert predict(*command, tmp_path / f"plain-{output}").status == 0
    explained, plain = read(tmp_path / output), read(tmp_path / f"plain-{output}")
    assert [{key: value for key, value in row.items() if key != "explanation"} for row in explained] == plain
    assert list(explained[0]) == [*plain[0], "explanation"]
    n_empty = 0
    for row in explained:
        explanation = row["explanation"]
        if not row["probability"]:
            assert not explanation
            n_empty += 1
            continue
        content = explanation if isinstance(explanation, dict) else json.loads(explanation)
        assert content["text"] == join_text([row["Title"], row["Review Text"]])
        assert content["method"] == "exact sum"
        assert_adds_up(content, float(row["probability"]))
    assert 0 < n_empty < len(explained)


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
        return [row | {"probability": row["probability"]} for row in rows]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    content = subprocess.run(["gzip", "-dcf", path], capture_output=True, check=True, text=True).stdout
    return list(csv.DictReader(content.splitlines(keepends=True)))


@pytest.mark.slow
def test_rows_come_out_before_the_input_ends(completed_template: Project) -> None:
    command = [*EXPLAIN, "-", "--format", "jsonl"]
    streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        command, cwd=completed_template.root, env=completed_template.environment(), **streams
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{TEXT}\n".encode() * 64)
            process.stdin.flush()
            rows = [json.loads(process.stdout.readline()) for _ in range(64)]
            process.stdin.close()
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert rows[-1]["id"] == 64
    assert_adds_up(rows[-1]["explanation"], rows[-1]["probability"])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(completed_template: Project, tmp_path: Path) -> None:
    peaks = []
    for rows in (500, 3_000):
        (tmp_path / "texts.txt").write_text(f"{TEXT}\n" * rows)
        command = [*EXPLAIN, str(tmp_path / "texts.txt"), "--output", str(tmp_path / "labels.jsonl")]
        peak = peak_memory(
            command,
            tmp_path / "peak",
            cwd=completed_template.root,
            env=completed_template.environment(),
            timeout=600,
            stderr=subprocess.DEVNULL,
        )
        assert len((tmp_path / "labels.jsonl").read_text().splitlines()) == rows
        peaks.append(peak)
    assert peaks[1] < peaks[0] * 1.15, f"{peaks} bytes"


def test_a_column_of_that_name_is_refused_only_where_it_would_be_written_twice(
    predict: Predict, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("Title,Review Text,explanation\n,Soft and warm,mine\n")
    refused = predict(tmp_path / "in.csv", "--keep-columns", "--explain")
    assert refused.status == 1
    assert "has a column 'explanation' already" in refused.stderr
    kept = predict(tmp_path / "in.csv", "--keep-columns")
    assert next(csv.DictReader(kept.out.splitlines()))["explanation"] == "mine"
    assert predict(tmp_path / "in.csv", "--explain").status == 0


def test_a_head_of_several_layers_says_that_there_is_no_exact_sum(
    predict: Predict, sentiment: SentimentClassifier, classifier: Path, tmp_path: Path
) -> None:
    deep = with_head(sentiment, [(8, sentiment.encoder.dim), (1, 8)])
    deep.classifier.save(tmp_path / "deep")
    (tmp_path / "deep" / "encoder").symlink_to(classifier / "encoder")
    done = predict("--classifier", tmp_path / "deep", "--explain", "--format", "jsonl", TEXT)
    assert "gradient times input, not an exact sum" in done.stderr
    assert json.loads(done.out)["explanation"]["method"] == "gradient times input"


def test_broken_rows_keep_their_numbers_and_threshold_changes_the_label_alone(predict: Predict, tmp_path: Path) -> None:
    lines = ["Soft and warm", *["ok"] * 99, "bad \x00 byte", "fine"]
    (tmp_path / "in.txt").write_text("\n".join(lines) + "\n")
    done = predict(tmp_path / "in.txt", "--explain", "--format", "jsonl", "--threshold", "0.999")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["id"] for row in rows] == list(range(1, 103))
    assert rows[100]["explanation"] is None
    assert "row 101" in done.stderr
    assert {row["sentiment"] for row in rows} == {"negative", None}
