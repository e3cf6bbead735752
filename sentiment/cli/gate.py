"""Decide whether a revision may take the place of what is in production.

    sentiment gate                              HEAD in the place of sentiment@production
    sentiment gate main wider                   an experiment in the place of main
    make promote VERSION=v1.1.0                 the gate, make verify, and the tags that put HEAD into production

It holds if the encoder was not trained on reviews of val or test, accuracy on val is not significantly worse
(McNemar's exact test), and no kind of behavioral test fails significantly more often (Fisher's exact test, Holm).
Exit status 1 where it does not hold. NAME@STAGE is an artifact of dvc.yaml in a stage of DVC's model registry
(git tags that `gto assign` makes); where nothing is in production yet, only the first condition is tested.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import fisher_exact

from sentiment.common.tables import SCORED, VAL
from sentiment.evaluation.metrics import SEEN
from sentiment.evaluation.significance import ALPHA, holm
from sentiment.experiments.comparison import compare, sentence
from sentiment.experiments.revisions import BEHAVIOR, METRICS, Revision, resolve

PRODUCTION = "sentiment@production"

Results = Mapping[str, Mapping[str, Any]]  # of data/check/behavior.json, by kind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two revisions."""
    revision = "commit, branch, tag, experiment, workspace, or NAME@STAGE (default: %(default)s)"
    parser.add_argument("current", metavar="A", nargs="?", default=PRODUCTION, help=revision)
    parser.add_argument("candidate", metavar="B", nargs="?", default="HEAD", help=revision)


def main(args: argparse.Namespace) -> int:
    """Write a line for each condition; 1 if one does not hold.

    Raises:
        InputError: a revision that was named does not exist, or lacks the files to decide by.
    """
    current = resolve(args.current)
    if args.current == PRODUCTION and not current.exists():
        sys.stdout.write(f"nothing is in production: no {PRODUCTION}\n")
        found = list(checks(None, resolve(args.candidate)))
    else:
        found = list(checks(current, resolve(args.candidate)))
    for check in found:
        sys.stdout.write(f"{'holds' if check.holds else 'FAILS'}  {check.name}: {check.figures}\n")
    return int(not all(check.holds for check in found))


@dataclass(frozen=True)
class Condition:
    """One condition, whether it holds, and the figures behind that."""

    name: str
    holds: bool
    figures: str


def checks(current: Revision | None, candidate: Revision) -> Iterator[Condition]:
    """Yield every condition.

    Args:
        current: what is in production; None where nothing is.
        candidate: what would take its place.

    Raises:
        InputError: a revision has no such files, or the two have no val review in common.
    """
    seen = {split: json.loads(candidate.read(METRICS[split]))[SEEN] for split in SCORED}
    figures = ", ".join(f"{number:,} of {split}" for split, number in seen.items())
    yield Condition("no leak", not any(seen.values()), f"reviews that the encoder was trained on: {figures}")
    if current is None:
        return
    comparison = compare(current, candidate, VAL, shared=True)
    in_words = sentence(current.name, candidate.name, comparison, VAL)
    yield Condition("accuracy", comparison.verdict != "worse", in_words)
    worse = worse_kinds(*(json.loads(one.read(BEHAVIOR)) for one in (current, candidate)))
    yield Condition("behavior", not worse, "; ".join(worse) or "no kind of text fails significantly more often")


def worse_kinds(before: Results, after: Results) -> list[str]:
    """Return a line for each kind of behavioral test that now fails significantly more often.

    By Fisher's exact test, p corrected for the number of kinds by Holm's method.
    """
    shared = [kind for kind in after if kind in before]
    counts = {kind: [(one[kind]["failures"], one[kind]["cases"]) for one in (before, after)] for kind in shared}
    p_values = [
        fisher_exact(np.array([[b, n_b - b], [a, n_a - a]]), alternative="greater").pvalue
        for (a, n_a), (b, n_b) in counts.values()
    ]
    return [
        f"{after[kind]['title']}: {counts[kind][0][0]} failures of {counts[kind][0][1]}, now {counts[kind][1][0]} of "
        f"{counts[kind][1][1]}, p = {p:.3f}"
        for kind, p in zip(shared, holm(p_values), strict=True)
        if p < ALPHA
    ]
