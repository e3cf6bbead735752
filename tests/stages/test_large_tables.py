"""prepare and split on a table of any length within 1 GB, as processes; LARGE_TABLE_ROWS sets the length.

    LARGE_TABLE_ROWS=10000000 pytest -m slow -s tests/stages/test_large_tables.py

The reviews are sentences of the sample in another order, with a word of noise; every twentieth repeats the one before
it but for that word. `python -m tests.stages.test_large_tables ROWS FILE` writes them.
"""

import csv
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.peak_memory import peak_memory
from tests.project import DEFAULTS, ROOT, SAMPLE

N_ROWS = int(os.environ.get("LARGE_TABLE_ROWS", "60_000"))
MAX_BYTES = 1e9
SECONDS = 7_200
FIRST = datetime(2020, 1, 1, tzinfo=UTC)
HEADER = ("Title", "Review Text", "Rating", "Product", "Date")
SPLITS = {
    "text": {},
    "group": {"group_column": "Product"},
    "time": {"time_column": "Date", "val_from": "2023-01-01", "test_from": "2023-07-01"},
}


def reviews(n_rows: int) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield rows of `HEADER`: of 4 years, and of a thirtieth as many products."""
    with (ROOT / SAMPLE).open(encoding="utf-8", newline="") as file:
        sample = [row for row in csv.DictReader(file) if row["Review Text"]]
    titles = [row["Title"] for row in sample]
    sentences = [one for row in sample for one in re.split(r"(?<=[.!?]) ", row["Review Text"])]
    rng = random.Random(0)
    text, seconds = "", 4 * 365 * 86_400
    for number in range(n_rows):
        noise = f"{rng.getrandbits(40):x}"
        same, _, _ = text.rpartition(" ")
        text = f"{same if number % 20 == 19 else ' '.join(rng.choices(sentences, k=5))} {noise}"
        when = FIRST + timedelta(seconds=rng.randrange(seconds))
        product = f"P{rng.randrange(1 + n_rows // 30)}"
        yield rng.choice(titles), text, str(rng.randint(1, 5)), product, when.isoformat(timespec="seconds")


def write_reviews(n_rows: int, file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as rows:
        writer = csv.writer(rows)
        writer.writerow(HEADER)
        writer.writerows(reviews(n_rows))


def run_stage(folder: Path, stage: str, *arguments: str) -> None:
    """Run a stage; print its seconds and peak memory, and compare that with the limit."""
    start = time.monotonic()
    command = [sys.executable, "-m", f"stages.{stage}", "--params", str(folder / "params.yaml"), *arguments]
    peak = peak_memory(command, folder / "peak", cwd=ROOT, timeout=SECONDS, stderr=subprocess.DEVNULL)
    print(f"{stage}: {N_ROWS:,} rows, {time.monotonic() - start:.1f} s, {peak / 1e6:,.0f} MB")  # noqa: T201
    assert peak < MAX_BYTES


@pytest.mark.slow
def test_prepare_and_split_stay_within_1_gb(tmp_path: Path) -> None:
    params = yaml.safe_load((DEFAULTS / "params.yaml").read_text(encoding="utf-8"))
    source, prepared = tmp_path / "reviews.csv", tmp_path / "reviews.parquet"
    write_reviews(N_ROWS, source)
    params["prepare"] |= {"source": str(source), "slice_columns": ["Product", "Date"]}
    params["evaluate"]["slices"] = []
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    run_stage(tmp_path, "prepare", "--output", str(prepared), "--metrics", str(tmp_path / "prepare.json"))
    kept = json.loads((tmp_path / "prepare.json").read_text())["kept"]
    assert kept > 0.99 * N_ROWS
    source.unlink()
    for mode, keys in SPLITS.items():
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({**params, "split": params["split"] | keys}))
        metrics = tmp_path / f"{mode}.json"
        run_stage(
            tmp_path,
            "split",
            "--reviews",
            str(prepared),
            "--output",
            str(tmp_path / "split"),
            "--metrics",
            str(metrics),
        )
        found = json.loads(metrics.read_text())
        assert sum(found[name]["rows"] for name in ("train", "val", "test")) + found["rows_left_out"] == kept
        assert found["split_by"] == mode
        near, checked = (found["test"][key] for key in ("near_duplicates", "near_duplicates_checked"))
        assert 0.01 < near / checked < 0.2
        assert checked == found["test"]["rows"] or 0.5 * 100_000 < checked / found["test"]["share"] < 2 * 100_000


if __name__ == "__main__":
    write_reviews(int(sys.argv[1]), Path(sys.argv[2]))
