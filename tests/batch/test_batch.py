"""`sentiment batch` on local files: the rows of `sentiment predict`, however the work is divided."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.batch.conftest import Batch, manifest, outputs, rows
from tests.project import Project

UNITS = ("--unit-rows", "120")  # three units of each file of 300 rows


@pytest.mark.slow
def test_units_have_the_rows_of_predict_and_the_same_bytes_however_they_are_divided(
    batch: Batch, inputs: Path, tmp_path: Path, completed_template: Project
) -> None:
    one, two, shards = tmp_path / "one", tmp_path / "two", tmp_path / "shards"
    assert batch(inputs, "--output", one, *UNITS, "--threads", 1).status == 0
    assert batch(inputs, "--output", two, *UNITS, "--threads", 2).status == 0
    for index in range(3):
        assert batch(inputs, "--output", shards, *UNITS, "--shard", f"{index}/3").status == 0
    assert len(outputs(one)) == 16  # three of each file; row groups of 70 give e.parquet more
    assert outputs(one) == outputs(two) == outputs(shards)
    labels = tmp_path / "labels.parquet"
    completed_template.run("sentiment", "predict", str(inputs / "a.csv"), "--output", str(labels))
    for path in filter(Path.is_file, inputs.rglob("*")):  # each has the same rows
        assert rows(one, str(path.relative_to(inputs))) == pq.read_table(labels).to_pylist()


def test_a_second_run_labels_only_what_is_missing(batch_here: Batch, inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    assert batch_here(inputs, "--output", folder).status == 0
    before = outputs(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    (folder / "a.csv.00000.parquet").unlink()
    (folder / "d.jsonl.00000.parquet").write_bytes(b"PAR1 cut short")
    again = batch_here(inputs, "--output", folder)
    assert "batch: 2 units labeled, 3 there before" in again.stderr
    assert outputs(folder) == before
    assert sum(path.stat().st_mtime_ns == time for path, time in times.items()) == 3
    assert [unit["outcome"] for unit in manifest(folder)["units"]].count("kept") == 3
    assert manifest(folder)["counts"]["rows"] == 1_500
    source = inputs / "a.csv"
    pd.read_csv(source).iloc[::-1].to_csv(source, index=False)  # as many rows, so the same unit
    changed = batch_here(inputs, "--output", folder)
    assert "batch: 1 unit labeled, 4 there before" in changed.stderr
    assert outputs(folder)["a.csv.00000.parquet"] != before["a.csv.00000.parquet"]


def test_lines_of_progress_have_units_rows_and_the_time_left(
    batch_here: Batch, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentiment.batch.run.SECONDS_BETWEEN_LINES", 0.0)
    log = batch_here(inputs, "--output", tmp_path / "labels").stderr
    found = re.findall(r"batch: (\d) of 5 units, ([\d,]+) rows at [\d,]+ rows/s, about ([\d:]+) left", log)
    assert [(int(units), int(rows.replace(",", ""))) for units, rows, _ in found] == [(n, 300 * n) for n in range(1, 6)]
    assert found[-1][2] == "0:00:00"


def test_a_changed_input_loses_the_units_that_it_no_longer_has(batch_here: Batch, inputs: Path, tmp_path: Path) -> None:
    folder, source = tmp_path / "labels", inputs / "a.csv"
    assert batch_here(source, "--output", folder, *UNITS).status == 0
    assert sorted(outputs(folder)) == [f"a.csv.0000{index}.parquet" for index in range(3)]
    pd.read_csv(source).head(10).to_csv(source, index=False)
    assert batch_here(source, "--output", folder, *UNITS, "--dry-run").status == 0
    assert len(outputs(folder)) == 3
    assert batch_here(source, "--output", folder, *UNITS).status == 0
    assert list(outputs(folder)) == ["a.csv.00000.parquet"]
    assert len(rows(folder, "a.csv")) == 10


def test_a_folder_with_brackets_in_its_name_is_no_pattern(batch_here: Batch, inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in[1]"
    folder.mkdir()
    shutil.copy2(inputs / "a.csv", folder)
    assert batch_here(folder, "--output", tmp_path / "in1").status == 0
    assert list(outputs(tmp_path / "in1"))


def test_what_cannot_be_read_is_named_and_the_rest_is_labeled(batch_here: Batch, inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    (inputs / "corrupt.parquet").write_bytes(b"PAR1 nothing of the kind")
    (inputs / "cut_short.csv.gz").write_bytes((inputs / "2025/b.csv.gz").read_bytes()[:200])
    (inputs / "empty.csv").touch()
    (inputs / "other.csv").write_text("Title,Rating\nLovely,5\n")
    (inputs / "_SUCCESS").touch()
    outcome = batch_here(inputs, "--output", folder)
    assert outcome.status == 1
    assert f"error: 4 units failed; see {folder}/_errors.jsonl" in outcome.stderr
    assert len(outputs(folder)) == 5
    errors = (folder / "_errors.jsonl").read_text().splitlines()
    for name, reason in {
        "corrupt.parquet": "not a Parquet file",
        "cut_short.csv.gz": "damaged gzip file",
        "empty.csv": "is empty, expected a header row",
        "other.csv": "column 'Review Text' is missing",
    }.items():
        assert any(name in line and reason in line for line in errors), (name, errors)
    for name in ("corrupt.parquet", "cut_short.csv.gz", "empty.csv", "other.csv"):
        (inputs / name).unlink()
    assert batch_here(inputs, "--output", folder).status == 0
    assert not (folder / "_errors.jsonl").exists()


def test_a_dry_run_counts_and_writes_nothing(batch_here: Batch, inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    outcome = batch_here(inputs, "--output", folder, *UNITS, "--dry-run")
    assert outcome.status == 0
    assert re.search(
        r"batch: 16 units to label \([\d,]+ bytes\), 0 there already, 0 that cannot be read", outcome.stderr
    )
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{inputs}", "--output", "{inputs}/labels"], "is below the inputs"),
        (["{inputs}/none", "--output", "{labels}"], "no Parquet, CSV, TSV or JSON lines file there"),
        (["{inputs}/*.txt", "--output", "{labels}"], "no Parquet, CSV, TSV or JSON lines file there"),
        (["{inputs}", "--output", "{inputs}/a.csv"], "is below the inputs"),
        (["{inputs}", "--output", "{labels}", "--classifier", "none"], "no classifier"),
        (["{inputs}", "--output", "s3://"], "s3://: names no bucket; expected s3://bucket/prefix"),
        (["{inputs}", "--output", "s3:///labels"], "s3:///labels: names no bucket"),
        (["s3://", "--output", "{labels}"], "s3://: names no bucket"),
        (["{inputs}", "--output", "{labels}", "--shard", "3/3"], "'3/3' is not i/n"),
        (["{inputs}", "--output", "{labels}", "--workers", "2"], "--workers and --address are for --engine ray"),
        (
            ["{inputs}", "--output", "{labels}", "--address", "ray://h:1"],
            "--workers and --address are for --engine ray",
        ),
        (["", "--output", "{labels}"], "an empty name: expected INPUT"),
        (["{inputs}", "--output", ""], "an empty name: expected INPUT"),
    ],
)
def test_wrong_arguments_are_one_line(
    batch_here: Batch, inputs: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    outcome = batch_here(*(argument.format(inputs=inputs, labels=tmp_path / "labels") for argument in arguments))
    assert outcome.status in {1, 2}
    assert message in outcome.stderr.splitlines()[-1]
    assert not (tmp_path / "labels").exists()


def test_outputs_that_a_pattern_does_not_match_may_be_beside_the_inputs(
    batch_here: Batch, inputs: Path, tmp_path: Path
) -> None:
    pattern, folder = f"{inputs}/a.c*", inputs / "labels"
    for outcome in ("1 unit labeled", "0 units labeled, 1 there before"):
        assert outcome in batch_here(pattern, "--output", folder).stderr
    assert [*outputs(folder)] == ["a.csv.00000.parquet"]
    refused = batch_here(f"{inputs}/**/*a*", "--output", folder)
    assert refused.status == 1
    assert "a.csv: its output would be below the inputs" in (folder / "_errors.jsonl").read_text()
