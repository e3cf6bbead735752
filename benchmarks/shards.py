"""Measures `sentiment batch`: rows a second by engine, time beyond labeling per unit, memory of the driver.

    python -m benchmarks.shards                        throughput, 10,000 tiny units, memory; local and Ray
    python -m benchmarks.shards --units 500 --rows 2000 --engine local      a short trial

Every figure is the slope between a short and a long run of the command as a process, so that what is done once, such as
loading the model, is not in it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil

from benchmarks.machine import describe
from sentiment.common.command import run_main
from sentiment.experiments.paths import CLASSIFIER
from sentiment.inference.classifier import SentimentClassifier

SHARE = 5  # the long run has that many times as many rows or units as the short one
POLL_SECONDS = 0.05
REPEATS = 200  # of labeling one text, whose time is not overhead


def run(inputs: Path, outputs: Path, *options: object) -> tuple[float, int]:
    """Run `sentiment batch`; return its seconds, and the largest resident memory of the driver alone, in bytes."""
    command = [sys.executable, "-m", "sentiment", "batch", str(inputs), "--output", str(outputs), *map(str, options)]
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, driver.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(POLL_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - start, peak


def slope(write: Callable[[Path, int], None], n: int, *options: object) -> tuple[float, list[int]]:
    """Return seconds per row or unit of a run of `n`, and the driver's peak memory in a short and in this run."""
    seconds, peaks = [], []
    for size in (n // SHARE, n):
        with tempfile.TemporaryDirectory(prefix="sentiment-shards-") as folder:
            write(Path(folder) / "in", size)
            took, peak = run(Path(folder) / "in", Path(folder) / "out", *options)
            seconds.append(took)
            peaks.append(peak)
    return (seconds[1] - seconds[0]) / (n - n // SHARE), peaks


def write_rows(reviews: pd.DataFrame, folder: Path, n_rows: int) -> None:
    """Write reviews as one CSV file of `n_rows`, repeated as often as needed."""
    folder.mkdir(parents=True)
    repeated = pd.concat([reviews] * (n_rows // len(reviews) + 1)).head(n_rows)
    repeated.to_csv(folder / "reviews.csv", index=False)


def write_units(folder: Path, n_units: int) -> None:
    """Write `n_units` CSV files of one row, 1,000 a folder."""
    for index in range(n_units):
        path = folder / f"{index // 1_000:03d}" / f"{index:05d}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Title,Review Text\nLovely,Soft and warm\n")


def seconds_per_text(classifier: SentimentClassifier) -> float:
    """Return the seconds that labeling one text alone takes."""
    classifier.predict_proba(["Lovely Soft and warm"])
    start = time.perf_counter()
    for _ in range(REPEATS):
        classifier.predict_proba(["Lovely Soft and warm"])
    return (time.perf_counter() - start) / REPEATS


def main() -> None:
    """Read the arguments, measure, print a line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=Path, default=Path("data/raw/sample.csv"), help="CSV (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=50_000, help="of the throughput runs (default: %(default)s)")
    parser.add_argument("--units", type=int, default=10_000, help="of the overhead runs (default: %(default)s)")
    parser.add_argument("--engine", choices=["local", "ray"], action="append", help="only this one")
    args = parser.parse_args()
    engines = args.engine or ["local", "ray"]
    reviews = pd.read_csv(args.reviews)
    write = sys.stdout.write
    write(f"{describe('cpu')}\n")
    cpus = os.cpu_count() or 1
    on_ray = ("--engine", "ray", "--workers", cpus)
    setups: dict[str, tuple[object, ...]] = {f"one process, {cpus} threads": ()}
    if "ray" in engines:
        setups[f"Ray, {cpus} workers"] = on_ray
    unit_rows = ("--unit-rows", max(1, args.rows // SHARE // cpus // 2))
    first = 0.0
    for name, options in setups.items():
        seconds, _ = slope(lambda folder, n: write_rows(reviews, folder, n), args.rows, *options, *unit_rows)
        first = first or seconds
        write(f"{name}: {1 / seconds:,.0f} rows/s, {first / seconds:.2f} of one process\n")
    labeling = seconds_per_text(SentimentClassifier.load(CLASSIFIER))
    for engine in engines:
        seconds, peaks = slope(write_units, args.units, *(on_ray if engine == "ray" else ()))
        sizes = " and ".join(f"{peak / 2**20:,.0f} MiB" for peak in peaks)
        write(
            f"{engine}: {1_000 * (seconds - labeling):.1f} ms per unit beyond labeling it ({1_000 * labeling:.1f} ms); "
            f"driver {sizes} for {args.units // SHARE:,} and {args.units:,} units\n"
        )


if __name__ == "__main__":
    run_main(main)
