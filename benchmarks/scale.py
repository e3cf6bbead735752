"""Time and memory of the stages that stream, by rows: real reviews repeated, with changed ids and one changed word."""

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter

import yaml

from benchmarks.peak_memory import peak_memory

ROWS = (100_000, 1_000_000, 2_000_000)
ENCODED = ROWS[:2]
TOKENS = 8  # of each review: memory is what is looked at, and a million whole reviews would take half an hour


def repeated(source: Path, rows: int, target: Path) -> None:
    """Write `rows` rows of a reviews CSV, over and over; the first column is the number of the row."""
    with source.open(newline="", encoding="utf-8") as file:
        header, *originals = csv.reader(file)
    text = header.index("Review Text")
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for number, row in enumerate(islice(cycle(originals), rows)):
            words = row[text].split(" ")
            changed = " ".join([f"word{number}", *words[1:]]) if row[text].strip() else ""
            writer.writerow([number, *row[1:text], changed, *row[text + 1 :]])


def stage(folder: Path, name: str, *arguments: str) -> tuple[float, float]:
    """Run a stage in `folder`; return its seconds and its peak memory in MB."""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    started = perf_counter()
    command = [sys.executable, "-m", f"stages.{name}", *arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    peak = peak_memory(command, folder / "peak", cwd=folder, env=environment, timeout=7200, **quiet)
    return perf_counter() - started, peak / 1e6


def measure(source: Path, encoder: Path) -> Iterator[dict[str, object]]:
    """Yield seconds and peak memory of each stage, for each number of rows."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["prepare"]["source"] = "reviews.csv"
    params["encode"] |= {"encoder": str(encoder.resolve()), "max_length": TOKENS}
    for rows in ROWS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "params.yaml").write_text(yaml.safe_dump(params))
            repeated(source, rows, folder / "reviews.csv")
            runs = {
                "prepare": ("--output", "reviews.parquet", "--metrics", "prepare.json"),
                "split": ("--reviews", "reviews.parquet", "--output", "split", "--metrics", "split.json"),
                "encode": ("--split", "split", "--output", "features"),
            }
            for stage_name, arguments in runs.items():
                if stage_name != "encode" or rows in ENCODED:
                    seconds, memory = stage(folder, stage_name, *arguments)
                    yield {"rows": rows, "stage": stage_name, "seconds": seconds, "peak_MB": memory}
