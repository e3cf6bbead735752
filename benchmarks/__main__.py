"""Measure this project beside its baselines, and write benchmarks/results.json.

    python -m benchmarks --reviews reviews.csv          # everything, 5 to 15 minutes on 2 cores
    python -m benchmarks --only bundled                 # one of the two encoders

On a machine with a CUDA GPU it measures the GPU.

Machines are noisy: baselines take turns within one run, the best round of each counts, and ratios are what to read.
"""

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch

from benchmarks import encode, machine
from benchmarks.encode import BUNDLED
from sentiment.common.command import run_main
from sentiment.data.readers import read_texts

# how many times --texts reviews are encoded, by number of tokens
MEASURED = {"bundled": {20: 24, 128: 24}, "base": {20: 3, 128: 1, 256: 1}}


def show(title: str, rows: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """Print rows as a Markdown table, as they come, and return them."""
    print(f"\n{title}\n")  # noqa: T201 - the command's output
    kept: list[dict[str, object]] = []
    for row in rows:
        if not kept:
            print("| " + " | ".join(row) + " |\n|" + " --- |" * len(row), flush=True)  # noqa: T201
        cells = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values())
        print("| " + " | ".join(cells) + " |", flush=True)  # noqa: T201
        kept.append(row)
    return kept


def main() -> None:
    """Run the chosen measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=Path, default=Path("data/raw/sample.csv"), help="CSV (default: %(default)s)")
    parser.add_argument("--only", choices=MEASURED, action="append", help="measure this, and not everything")
    parser.add_argument("--texts", type=int, default=128, help="reviews for the base shape (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="the best of these counts (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results.json"), help="(default: %(default)s)")
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    texts = list(read_texts(args.reviews, ["Title", "Review Text"]))
    results: dict[str, object] = {"machine": machine.describe(device), "reviews": args.reviews.name}
    print(results["machine"])  # noqa: T201
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only or MEASURED:
            encoder = BUNDLED if name == "bundled" else encode.base_shape(Path(folder, "albert-base-shape"))
            rows = []
            for length, factor in MEASURED[name].items():
                count = factor * args.texts
                spread = texts[:: max(1, len(texts) // count)][:count]
                title = f"encode: {encoder.name}, {length} tokens, {len(spread)} reviews"
                rows += show(title, encode.measure(encoder, length, spread, device, args.rounds))
            results[name] = rows
    args.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    run_main(main)
