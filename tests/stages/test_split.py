"""The stage `split`: the split of a review depends on its own text, group or time and the params, on nothing else."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sentiment.common.tables import SPLITS, table_writer
from sentiment.data.schema import table_schema
from sentiment.data.splitting import text_hash
from stages import split
from tests.stages.conftest import Outcome

SCHEMA = table_schema(["Product", "Date", "part"], ["body"])
PARAMS = {"salt": "s", "val": 0.2, "test": 0.2}


def rows_of(texts: list[str]) -> list[dict[str, object]]:
    return [
        {
            "id": f"{index:016x}",
            "text": text,
            "label": index % 2,
            "rating": 1 + 4 * (index % 2),
            "Product": f"P{index // 4}",
            "Date": f"2024-{1 + index % 10:02}-{1 + index % 28:02}",
            "part": ("train", "val", "train", "test", "train")[index % 5],
        }
        for index, text in enumerate(texts)
    ]


def texts(count: int) -> list[str]:
    return [f"Review number {number}" for number in range(count)]


class SplitRun(NamedTuple):
    """How the stage ended, the split of each text and the metrics; empty where it failed."""

    outcome: Outcome
    split_of: dict[str, str]
    metrics: dict[str, Any]


RunSplit = Callable[..., SplitRun]


@pytest.fixture
def run_split(tmp_path: Path, command: Callable[..., Outcome]) -> RunSplit:
    """Run the stage on rows of a prepared table."""

    def call(rows: list[dict[str, object]], **params: object) -> SplitRun:
        with table_writer(tmp_path / "reviews.parquet", SCHEMA) as writer:
            writer.write(pa.RecordBatch.from_pylist(rows, SCHEMA))
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"split": {**PARAMS, **params}}))
        outcome = command(
            split.main, "--params", tmp_path / "params.yaml", "--reviews", tmp_path / "reviews.parquet",
            "--output", tmp_path / "split", "--metrics", tmp_path / "split.json",
        )  # fmt: skip
        if outcome.status:
            return SplitRun(outcome, {}, {})
        split_of = {
            row["text"]: name
            for name in SPLITS
            for row in pq.read_table(tmp_path / f"split/{name}.parquet").to_pylist()
        }
        return SplitRun(outcome, split_of, json.loads((tmp_path / "split.json").read_text()))

    return call


def test_metrics_have_rows_share_and_balance_of_each_split(run_split: RunSplit) -> None:
    _, split_of, metrics = run_split(rows_of(texts(2000)))
    assert sum(metrics[name]["rows"] for name in SPLITS) == 2000
    for name, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        assert metrics[name]["rows"] == list(split_of.values()).count(name)
        assert metrics[name]["share"] == pytest.approx(share, abs=0.04)
        assert metrics[name]["positive_share"] == pytest.approx(0.5, abs=0.06)


def test_more_rows_in_another_order_change_no_split(run_split: RunSplit) -> None:
    _, before, _ = run_split(rows_of(texts(500)))
    more = rows_of(texts(800))
    random.Random(0).shuffle(more)
    _, after, _ = run_split(more)
    assert all(after[text] == name for text, name in before.items())


def test_texts_that_differ_in_case_or_white_space_are_in_one_split(run_split: RunSplit) -> None:
    base = texts(300)
    wide = [text.replace(" ", "\u00a0") + "\r\n" for text in base]
    upper = [text.upper() for text in base]
    _, split_of, _ = run_split(rows_of(base + upper + wide))
    for text, upper_text, wide_text in zip(base, upper, wide, strict=True):
        assert split_of[text] == split_of[upper_text] == split_of[wide_text]


def test_another_salt_gives_a_different_split(run_split: RunSplit) -> None:
    _, one, _ = run_split(rows_of(texts(500)))
    _, other, _ = run_split(rows_of(texts(500)), salt="t")
    assert sum(one[text] != other[text] for text in one) > 150


def test_the_hash_is_blake2b_of_salt_and_normalized_text() -> None:
    """Computed independently: printf 's\\nlove it' | b2sum -l 64."""
    assert text_hash("  LOVE\u00a0 it ", "s") == 0x1AF63112DB2DD0B7


@pytest.mark.parametrize(
    ("rows", "shares", "message"),
    [
        (rows_of(texts(100)), {"val": 1e-9}, "split: 'val' has 0 rows, 0 of them positive"),
        (
            [{**row, "label": 1} for row in rows_of(texts(100))],
            {},
            "split: 'train' has 67 rows, 67 of them positive",
        ),
        (
            [{**row, "label": 0} for row in rows_of(texts(100))],
            {},
            "split: 'train' has 67 rows, 0 of them positive",
        ),
    ],
)
def test_a_split_that_is_empty_or_has_one_class_is_refused(
    run_split: RunSplit, rows: list[dict[str, object]], shares: dict[str, float], message: str
) -> None:
    outcome, _, _ = run_split(rows, **shares)
    assert outcome.status == 1
    assert message in outcome.stderr
    assert "expected both classes" in outcome.stderr
    assert "\n" not in outcome.stderr


def test_a_missing_table_is_refused_with_the_command_to_run(command: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"split": PARAMS}))
    outcome = command(
        split.main, "--params", tmp_path / "params.yaml", "--reviews", tmp_path / "none.parquet",
        "--output", tmp_path / "split", "--metrics", tmp_path / "split.json",
    )  # fmt: skip
    assert outcome.status == 1
    assert "none.parquet: no such file; run `dvc repro` or `dvc pull`" in outcome.stderr


def test_fewer_than_100_training_rows_give_a_warning_with_their_number(run_split: RunSplit) -> None:
    outcome, _, metrics = run_split(rows_of(texts(2000)), val=0.5, test=0.49)
    assert outcome.status == 0
    n_train = metrics["train"]["rows"]
    assert n_train < 100
    assert f"warning: only {n_train} rows to train on, expected at least 100" in outcome.stderr


def test_100_training_rows_give_no_warning(run_split: RunSplit) -> None:
    outcome, _, metrics = run_split(rows_of(texts(200)))
    assert metrics["train"]["rows"] >= 100
    assert "warning" not in outcome.stderr


TIME: dict[str, object] = {"time_column": "Date", "val_from": "2024-07-01", "test_from": "2024-09-01"}
MODES: dict[str, dict[str, object]] = {
    "text": {}, "group": {"group_column": "Product"}, "time": TIME, "column": {"column": "part"},
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_in_every_mode_more_rows_in_another_order_change_no_split(run_split: RunSplit, mode: str) -> None:
    rows = rows_of(texts(800))
    _, before, metrics = run_split(rows[:500], **MODES[mode])
    random.Random(0).shuffle(rows)
    outcome, after, _ = run_split(rows, **MODES[mode])
    assert len(before) == 500
    assert all(after[text] == name for text, name in before.items())
    assert (metrics["rows_left_out"], metrics["split_by"]) == (0, mode)
    assert "left out" not in outcome.stderr


def test_the_column_of_a_row_decides(run_split: RunSplit) -> None:
    rows = rows_of(texts(500))
    _, by_group, metrics = run_split(rows, **MODES["group"])
    products: dict[object, set[str]] = {}
    for row in rows:
        products.setdefault(row["Product"], set()).add(by_group[str(row["text"])])
    assert {len(names) for names in products.values()} == {1}
    assert metrics["split_column"] == "Product"
    _, by_time, metrics = run_split(rows, **TIME)
    for row in rows:
        month = int(str(row["Date"])[5:7])
        assert by_time[str(row["text"])] == ("train" if month < 7 else "val" if month < 9 else "test")
    assert (metrics["val_from"], metrics["test_from"]) == ("2024-07-01", "2024-09-01")
    _, by_column, _ = run_split(rows, **MODES["column"])
    assert all(by_column[str(row["text"])] == row["part"] for row in rows)


def test_a_text_in_several_splits_stays_in_train_only_and_is_counted(run_split: RunSplit) -> None:
    rows = rows_of(texts(500))
    for row, repeated in ((rows[1], rows[0]), (rows[6], rows[3]), (rows[11], rows[16])):
        row["text"] = str(repeated["text"]).upper()
    outcome, split_of, metrics = run_split(rows, column="part")
    assert "Review number 0" in split_of
    assert not {"REVIEW NUMBER 0", "Review number 3", "REVIEW NUMBER 3"} & set(split_of)
    assert split_of["Review number 16"] == split_of["REVIEW NUMBER 16"] == "val"  # both of them in one split
    assert metrics["rows_left_out"] == 3
    assert len(split_of) == 497
    assert "split: left out 3 rows, whose text is also in another split" in outcome.stderr


def test_near_duplicates_in_train_are_counted_and_stay(run_split: RunSplit) -> None:
    rows = rows_of(texts(500))
    for index in (3, 8, 11):  # two of test, one of val
        rows[index]["text"] = f"{rows[0]['text']}{'!' * index}"
    outcome, split_of, metrics = run_split(rows, column="part")
    assert len(split_of) == 500
    assert [metrics[name]["near_duplicates"] for name in ("val", "test")] == [1, 2]
    assert metrics["val"]["near_duplicates_checked"] == metrics["val"]["rows"] == 100
    assert "split: 1 of 100 val and 2 of 100 test reviews have a near duplicate in train" in outcome.stderr


@pytest.mark.parametrize(
    ("change", "params", "message"),
    [
        (
            {},
            {"group_column": "Shop"},
            "split.group_column 'Shop' is not in the prepared table; add it to prepare.slic",
        ),
        ({"Product": ""}, {"group_column": "Product"}, "split.group_column 'Product': 1 of 200 rows have no value"),
        ({"Date": None}, TIME, "split.time_column 'Date': 1 of 200 rows have no value"),
        (
            {"Date": "01/02/2024"},
            TIME,
            "reviews.parquet: row 8, column 'Date': found '01/02/2024', expected a date that",
        ),
        ({"part": "holdout"}, {"column": "part"}, "split.column 'part' has 'holdout' (1 rows), expected train, val"),
        (
            {},
            {**TIME, "test_from": "2025-01-01"},
            "'test' has 0 rows, 0 of them positive; expected both classes; change s",
        ),
    ],
)
def test_a_row_that_no_split_can_be_said_of_stops_the_stage(
    run_split: RunSplit, change: dict[str, object], params: dict[str, object], message: str
) -> None:
    rows = rows_of(texts(200))
    rows[7] |= change
    outcome, _, _ = run_split(rows, **params)
    assert outcome.status == 1
    assert message in outcome.stderr
    assert "\n" not in outcome.stderr


def test_with_folds_test_holds_every_review_once_and_equal_texts_share_a_fold(
    run_split: RunSplit, tmp_path: Path
) -> None:
    rows = rows_of([*texts(300), "REVIEW number 7 "])
    done = run_split(rows, folds=5)
    tables = {name: pq.read_table(tmp_path / "split" / f"{name}.parquet") for name in SPLITS}
    assert tables["test"].drop_columns("fold").to_pylist() == rows
    assert sorted([*tables["train"]["text"].to_pylist(), *tables["val"]["text"].to_pylist()]) == sorted(
        str(row["text"]) for row in rows
    )
    fold_of = dict(zip(tables["test"]["text"].to_pylist(), tables["test"]["fold"].to_pylist(), strict=True))
    assert fold_of["REVIEW number 7 "] == fold_of["Review number 7"]
    sizes = [list(fold_of.values()).count(fold) for fold in range(5)]
    assert sum(sizes) == 301
    assert min(sizes) > 40
    assert done.metrics["folds"] == 5
    assert done.metrics["test"]["share"] == 1


def test_with_folds_and_groups_a_group_is_in_one_fold(run_split: RunSplit, tmp_path: Path) -> None:
    run_split(rows_of(texts(400)), folds=4, group_column="Product")
    table = pq.read_table(tmp_path / "split" / "test.parquet")
    pairs = set(zip(table["Product"].to_pylist(), table["fold"].to_pylist(), strict=True))
    assert len(pairs) == 100
    assert {fold for _, fold in pairs} == {0, 1, 2, 3}


def test_a_text_of_groups_in_several_folds_stays_in_the_first_one(run_split: RunSplit, tmp_path: Path) -> None:
    rows = rows_of([*texts(400), *texts(400)])  # each text of two products
    outcome, _, metrics = run_split(rows, folds=4, group_column="Product")
    tables = {name: pq.read_table(tmp_path / f"split/{name}.parquet").to_pylist() for name in SPLITS}
    folds: dict[str, set[int]] = {}
    for row in tables["test"]:
        folds.setdefault(row["text"], set()).add(row["fold"])
    assert len(folds) == 400
    assert {len(one) for one in folds.values()} == {1}
    of_product = {row["Product"]: row["fold"] for row in tables["test"]}
    of_text: dict[str, list[int]] = {}
    for row in rows:
        of_text.setdefault(str(row["text"]), []).append(of_product.get(row["Product"], 4))
    assert all(min(of_text[text]) == min(one) for text, one in folds.items())
    n_left_out = 800 - len(tables["test"])
    assert metrics["rows_left_out"] == n_left_out > 200
    assert len(tables["train"]) + len(tables["val"]) == len(tables["test"])
    assert not {row["text"] for row in tables["train"]} & {row["text"] for row in tables["val"]}
    assert f"split: left out {n_left_out} rows, whose text is also in another fold" in outcome.stderr
    assert "near_duplicates" not in metrics["test"]
    assert "near duplicate" not in outcome.stderr


def test_a_fold_of_one_class_is_refused(run_split: RunSplit) -> None:
    rows = rows_of(texts(600))
    for index, row in enumerate(rows):
        row["label"] = int(index % 40 != 0)
    done = run_split(rows, folds=20)
    assert done.outcome.status == 1
    assert "of 20 has one class only; lower split.folds or add data" in done.outcome.stderr


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"folds": 1}, "expected folds of 3 or more, or 0 for one split"),
        ({"folds": 2}, "expected folds of 3 or more, or 0 for one split"),
        ({"folds": 21}, "split.folds is 21, expected less than or equal to 20"),
        ({"folds": 5, "column": "part"}, "expected folds of 0 with time_column or column"),
    ],
)
def test_folds_that_cannot_be(run_split: RunSplit, params: dict[str, object], message: str) -> None:
    done = run_split(rows_of(texts(20)), **params)
    assert done.outcome.status == 1
    assert message in done.outcome.stderr
