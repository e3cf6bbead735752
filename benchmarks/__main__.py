"""Measures this project beside its baselines and writes benchmarks/results.json.

    python -m benchmarks --reviews reviews.csv          # everything, 10 to 25 minutes on 2 cores
    python -m benchmarks --only train                   # seconds

Machines are noisy: baselines take turns within one run, the best round of each counts, and ratios are what to read.
"""

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch

from benchmarks import encode, machine, pipeline, scale, start, train
from benchmarks.reviews import read_texts
from sentiment.common.command import run_main

ALL = ("start", "bundled", "base", "train", "pipeline", "scale")


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
    parser.add_argument("--only", choices=ALL, action="append", help="measure this, and not everything")
    parser.add_argument("--texts", type=int, default=128, help="reviews for the base shape (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="the best of these counts (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results.json"), help="(default: %(default)s)")
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    texts = read_texts(args.reviews)
    results: dict[str, object] = {"machine": machine.describe(device), "reviews": args.reviews.name}
    print(results["machine"])  # noqa: T201
    chosen = args.only or ALL

    def encoding(encoder: Path, length: int, count: int) -> list[dict[str, object]]:
        spread = texts[:: max(1, len(texts) // count)][:count]
        rows = encode.measure(encoder, length, spread, device, args.rounds)
        return show(f"encode: {encoder.name}, {length} tokens, {len(spread)} reviews", rows)

    if "start" in chosen:
        results["start"] = show("seconds of a new process", start.measure(encode.BUNDLED, args.rounds))
    if "bundled" in chosen:
        lengths = (20, 128)
        results["bundled"] = [row for length in lengths for row in encoding(encode.BUNDLED, length, args.texts * 24)]
    if "base" in chosen:
        with tempfile.TemporaryDirectory() as folder:
            base = encode.base_shape(Path(folder, "albert-base-shape"))
            counts = {20: 3 * args.texts, 128: args.texts, 256: args.texts}  # several batches of each length
            results["base"] = [row for length, count in counts.items() for row in encoding(base, length, count)]
    if "train" in chosen:
        results["train"] = show("train: 30 epochs, 18,000 x 512 features, batches of 16", train.measure())
    if "pipeline" in chosen:
        rows = pipeline.measure(args.reviews, encode.BUNDLED, 128, texts)
        results["pipeline"] = show("dvc repro against the naive loop, bundled encoder, 128 tokens, 30 epochs", rows)
    if "scale" in chosen:
        title = f"time and memory by rows; encode at {scale.TOKENS} tokens"
        results["scale"] = show(title, scale.measure(args.reviews, encode.BUNDLED))
    args.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    run_main(main)
