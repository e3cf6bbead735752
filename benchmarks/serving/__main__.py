"""Measures the server under load; needs wrk (Debian: apt-get install wrk), and a classifier (`make repro`).

    python -m benchmarks.serving --reviews reviews.csv                # throughput, 2 minutes
    python -m benchmarks.serving --reviews reviews.csv --minutes 10   # 200 connections on a queue of 64

Machines are noisy: implementations take turns, and a ratio is that of neighbors in time, the median over the rounds.
"""

import argparse
from pathlib import Path
from statistics import median

from benchmarks import machine
from benchmarks.__main__ import show
from benchmarks.reviews import read_texts
from benchmarks.serving import overload, throughput
from sentiment.common.command import run_main


def main() -> None:
    """Run the chosen measurement and print it as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=Path, default=Path("data/raw/sample.csv"), help="CSV (default: %(default)s)")
    parser.add_argument("--classifier", type=Path, default=Path("models/classifier"), help="(default: %(default)s)")
    parser.add_argument("--texts", type=int, default=3_000, help="different reviews (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of throughput (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8, help="under load, each time (default: %(default)s)")
    parser.add_argument("--minutes", type=float, help="of overload, measured instead of throughput")
    args = parser.parse_args()
    texts = read_texts(args.reviews)
    texts = texts[:: max(1, len(texts) // args.texts)][: args.texts]
    print(machine.describe("cpu"))  # noqa: T201 - the command's output
    if args.minutes is None:
        show_throughput(args.classifier, texts, args.rounds, args.seconds, args.reviews.name)
    else:
        overloaded = overload.measure(args.classifier, texts, 60 * args.minutes)
        title = f"{overload.CONNECTIONS} connections, a queue of {overload.QUEUE_TEXTS}, {args.minutes:g} minutes"
        show(title, overloaded.rows(since=min(60.0, 60 * args.minutes / 4)))


def show_throughput(classifier: Path, texts: list[str], rounds: int, seconds: float, source: str) -> None:
    """Print each round as it ends, the table, and whether the targets are met."""
    measured = []
    for number, one in enumerate(throughput.measure(classifier, texts, rounds, seconds), 1):
        measured.append(one)
        ratios = ", ".join(f"{value:.2f} times {name}" for name, value in one.ratios.items())
        print(f"round {number}: {one.server.per_second:.0f} a second, {ratios}", flush=True)  # noqa: T201
    title = f"{len(texts):,} reviews of {source}, a text a request, {throughput.CONNECTIONS} connections"
    show(title, throughput.rows(measured))
    for name, target in throughput.TARGETS.items():
        ratio = median(one.ratios[name] for one in measured)
        print(f"{'met' if ratio >= target else 'NOT MET'}: {ratio:.2f} times {name}; the target is {target:g}")  # noqa: T201


if __name__ == "__main__":
    run_main(main)
