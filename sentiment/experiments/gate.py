"""Decide whether a revision may take the place of another one in production.

It must not be significantly worse on val, must not fail significantly more of the behavioral tests, and its encoder
must not have been trained on reviews that test it. Both tests are one look at several figures, so p is corrected.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import fisher_exact

from sentiment.common.tables import SCORED, VAL
from sentiment.evaluation.significance import ALPHA, holm
from sentiment.experiments.comparison import compare, sentence
from sentiment.experiments.paths import BEHAVIOR, METRICS
from sentiment.experiments.revisions import Revision

Results = Mapping[str, Mapping[str, Any]]  # of data/check/behavior.json, by kind
SEEN = "reviews_seen_by_encoder"  # a metric of val and of test


@dataclass(frozen=True)
class Check:
    """One condition, whether it holds, and the figures behind that."""

    name: str
    holds: bool
    figures: str


def checks(current: Revision | None, candidate: Revision) -> Iterator[Check]:
    """Yield every condition.

    Args:
        current: what is in production; None where nothing is.
        candidate: what would take its place.

    Raises:
        InputError: a revision has no such files, or the two have no val review in common.
    """
    seen = {split: json.loads(candidate.read(METRICS[split]))[SEEN] for split in SCORED}
    figures = ", ".join(f"{number:,} of {split}" for split, number in seen.items())
    yield Check("no leak", not any(seen.values()), f"reviews that the encoder was trained on: {figures}")
    if current is None:
        return
    comparison = compare(current, candidate, VAL, shared=True)
    in_words = sentence(current.name, candidate.name, comparison, VAL)
    yield Check("accuracy", comparison.verdict != "worse", in_words)
    worse = worse_kinds(*(json.loads(one.read(BEHAVIOR)) for one in (current, candidate)))
    yield Check("behavior", not worse, "; ".join(worse) or "no kind of text fails significantly more often")


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
