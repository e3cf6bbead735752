"""Test whether experiment B is better than A on the val reviews, or the difference may be chance.

    sentiment compare                        HEAD and the workspace
    sentiment compare main                   a branch and the workspace
    sentiment compare dusty-kale loamy-fits  two experiments; commits and tags work as well
    sentiment compare tfidf                  a baseline, made by `sentiment baseline`, and the workspace
    sentiment compare main workspace --fail-if-worse
    sentiment compare --shared               where reviews were added since: those that both have in val
    sentiment compare tfidf --split test     the one look at test, for the chosen result

Predictions are read from the workspace, the DVC cache or the remote, and paired by review. Intervals are 95%, from
a paired bootstrap; better or worse is decided by McNemar's exact test on accuracy, at the 5% level.
"""

import argparse
import json
import sys

from sentiment.common.tables import SCORED, VAL
from sentiment.evaluation.metrics import PRIMARY
from sentiment.evaluation.significance import Comparison
from sentiment.experiments.comparison import compare, sentence
from sentiment.experiments.revisions import WORKSPACE, resolve


def as_text(a: str, b: str, comparison: Comparison, split: str) -> str:
    """Return the comparison as a table and one sentence."""
    lines = [f"A = {a}, B = {b}: {comparison.rows:,} {split} {'review' if comparison.rows == 1 else 'reviews'}", ""]
    lines.append(f"{'':<10}{'A':>8}{'B':>9}{'B - A':>10}   95% interval of B - A")
    for name in [one for one in PRIMARY if one in comparison.metrics]:  # reviews of one label do not define all
        metric = comparison.metrics[name]
        bounds = f"{metric.low:+.4f} to {metric.high:+.4f}"
        lines.append(f"{name:<10}{metric.a:>8.4f}{metric.b:>9.4f}{metric.difference:>+10.4f}   {bounds}")
    discordant = f"reviews that only A gets right: {comparison.only_a_correct:,}; only B: {comparison.only_b_correct:,}"
    lines += ["", discordant, "", sentence(a, b, comparison, split)]
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment compare`."""
    revision = "commit, branch, tag, experiment, baseline, or workspace (default: %(default)s)"
    parser.add_argument("a", metavar="A", nargs="?", default="HEAD", help=revision)
    parser.add_argument("b", metavar="B", nargs="?", default=WORKSPACE, help=revision)
    parser.add_argument("--split", choices=SCORED, default=VAL, help="whose reviews (default: %(default)s)")
    parser.add_argument("--shared", action="store_true", help="compare by the reviews that A and B share")
    parser.add_argument("--json", action="store_true", help="write JSON, in full precision")
    parser.add_argument("--fail-if-worse", action="store_true", help="exit with 1 if B is significantly worse than A")


def main(args: argparse.Namespace) -> int:
    """Compare, and write the result to standard output; 1 if B is significantly worse and --fail-if-worse is given."""
    comparison = compare(resolve(args.a), resolve(args.b), args.split, args.shared)
    in_words = sentence(args.a, args.b, comparison, args.split)
    result = {"a": args.a, "b": args.b, "split": args.split, **comparison.as_dict(), "sentence": in_words}
    text = json.dumps(result, indent=2) if args.json else as_text(args.a, args.b, comparison, args.split)
    sys.stdout.write(f"{text}\n")
    return 1 if args.fail_if_worse and comparison.verdict == "worse" else 0
