"""Where a review goes depends on its own text and the salt, and on nothing else."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sentiment.common.tables import SPLITS, table_writer
from sentiment.data.schema import table_schema
from stages import split

SCHEMA = table_schema([], ["body"])
PARAMS = {"salt": "s", "val": 0.2, "test": 0.2}


def rows_of(texts: list[str]) -> list[dict[str, object]]:
    return [
        {"id": f"{place:016x}", "text": text, "label": place % 2, "rating": 1 + 4 * (place % 2)}
        for place, text in enumerate(texts)
    ]


def texts(count: int) -> list[str]:
    return [f"Review number {number}" for number in range(count)]


@pytest.fixture
def dealt(tmp_path: Path, command: Callable) -> Callable:
    """Split rows; returns the outcome, the part of each text, and the metrics."""

    def call(rows: list[dict[str, object]], **params: object) -> tuple:
        with table_writer(tmp_path / "reviews.parquet", SCHEMA) as writer:
            writer.write(pa.RecordBatch.from_pylist(rows, SCHEMA))
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"split": {**PARAMS, **params}}))
        outcome = command(
            split.main, "--params", tmp_path / "params.yaml", "--reviews", tmp_path / "reviews.parquet",
            "--output", tmp_path / "split", "--metrics", tmp_path / "split.json",
        )  # fmt: skip
        if outcome.status:
            return outcome, None, None
        parts = {
            row["text"]: part
            for part in SPLITS
            for row in pq.read_table(tmp_path / f"split/{part}.parquet").to_pylist()
        }
        return outcome, parts, json.loads((tmp_path / "split.json").read_text())

    return call


def test_shares_and_balance_are_reported(dealt: Callable) -> None:
    _, parts, metrics = dealt(rows_of(texts(2000)))
    assert sum(metrics[part]["rows"] for part in SPLITS) == 2000
    for part, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        assert metrics[part]["rows"] == list(parts.values()).count(part)
        assert metrics[part]["share"] == pytest.approx(share, abs=0.04)
        assert metrics[part]["positive_share"] == pytest.approx(0.5, abs=0.06)


def test_appending_rows_and_another_order_move_none(dealt: Callable) -> None:
    _, before, _ = dealt(rows_of(texts(500)))
    more = rows_of(texts(800))
    random.Random(0).shuffle(more)
    _, after, _ = dealt(more)
    assert all(after[text] == part for text, part in before.items())


def test_texts_that_read_the_same_stay_together(dealt: Callable) -> None:
    base = texts(300)
    wide = [text.replace(" ", "\u00a0") + "\r\n" for text in base]
    spelt = [text.upper() for text in base] + wide
    _, parts, _ = dealt(rows_of(base + spelt))
    for place, text in enumerate(base):
        assert parts[text] == parts[spelt[place]] == parts[spelt[place + 300]]


def test_another_salt_deals_anew(dealt: Callable) -> None:
    _, one, _ = dealt(rows_of(texts(500)))
    _, other, _ = dealt(rows_of(texts(500)), salt="t")
    assert sum(one[text] != other[text] for text in one) > 150


def test_a_known_hash() -> None:
    """BLAKE2b of salt, line feed and normalize_text text; anyone can compute it: printf 's\\nlove it' | b2sum -l 64."""
    assert split.text_hash("  LOVE\u00a0 it ", "s") == 0x1AF63112DB2DD0B7


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
def test_an_empty_part_or_one_class_is_refused(
    dealt: Callable, rows: list[dict[str, object]], shares: dict[str, float], message: str
) -> None:
    outcome, _, _ = dealt(rows, **shares)
    assert outcome.status == 1
    assert message in outcome.stderr
    assert "expected both classes" in outcome.stderr
    assert "\n" not in outcome.stderr


def test_a_missing_table_says_what_to_run(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"split": PARAMS}))
    outcome = command(
        split.main, "--params", tmp_path / "params.yaml", "--reviews", tmp_path / "none.parquet",
        "--output", tmp_path / "split", "--metrics", tmp_path / "split.json",
    )  # fmt: skip
    assert outcome.status == 1
    assert "none.parquet: no such file; run `dvc repro` or `dvc pull`" in outcome.stderr
