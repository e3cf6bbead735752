"""Measure this project beside its baselines, and write benchmarks/results.json.

    python -m benchmarks --reviews reviews.csv          # everything, 5 to 15 minutes on 2 cores
    python -m benchmarks --only gpu                     # all reviews in int8 on a CUDA GPU

Machines are noisy: baselines take turns within one run, the best round of each counts, and ratios are what to read.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from benchmarks import encode, machine
from benchmarks.encode import BUNDLED
from sentiment.common.command import run_main
from sentiment.data.csv_reader import read_chunks
from sentiment.data.text import join_text

ALL = ("bundled", "base")
Rows = list[dict[str, object]]


def show(title: str, rows: Iterable[dict[str, object]]) -> Rows:
    """Print rows as a Markdown table, as they come, and return them."""
    print(f"\n{title}\n")  # noqa: T201 - the command's output
    kept: Rows = []
    for row in rows:
        if not kept:
            print("| " + " | ".join(row) + " |\n|" + " --- |" * len(row), flush=True)  # noqa: T201
        cells = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values())
        print("| " + " | ".join(cells) + " |", flush=True)  # noqa: T201
        kept.append(row)
    return kept


def read_texts(source: Path) -> list[str]:
    """Return the reviews of a CSV file in the columns of the sample, in file order."""
    chunks = read_chunks(source, ["Title", "Review Text"])
    texts = (join_text(parts) for chunk in chunks for parts in chunk.itertuples(index=False, name=None))
    return [text for text in texts if text]


def main() -> None:
    """Run the chosen measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=Path, default=Path("data/raw/sample.csv"), help="CSV (default: %(default)s)")
    parser.add_argument("--only", choices=(*ALL, "gpu"), action="append", help="measure this, and not everything")
    parser.add_argument("--texts", type=int, default=128, help="reviews for the base shape (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="the best of these counts (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results.json"), help="(default: %(default)s)")
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    n, rounds, texts = args.texts, args.rounds, read_texts(args.reviews)
    results: dict[str, object] = {"machine": machine.describe(device), "reviews": args.reviews.name}
    print(results["machine"])  # noqa: T201

    def encoding(encoder: Path, counts: dict[int, int]) -> Rows:
        """Measure an encoder; `counts` has the number of reviews for each number of tokens."""
        rows = []
        for length, count in counts.items():
            spread = texts[:: max(1, len(texts) // count)][:count]
            title = f"encode: {encoder.name}, {length} tokens, {len(spread)} reviews"
            rows += show(title, encode.measure(encoder, length, spread, device, rounds))
        return rows

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder, "albert-base-shape")
        measurements: dict[str, Callable[[], Rows]] = {
            "bundled": lambda: encoding(BUNDLED, dict.fromkeys((20, 128), 24 * n)),
            "base": lambda: encoding(encode.base_shape(base), {20: 3 * n, 128: n, 256: n}),
            "gpu": lambda: show("int8 on a GPU", encode.measure_gpu([BUNDLED, encode.base_shape(base)], texts, rounds)),
        }
        for name in args.only or ALL:
            results[name] = measurements[name]()
    args.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    run_main(main)
