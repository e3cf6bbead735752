"""Rank the phrases that pull reviews to one label: effect against the base rate, exact test, what repeats another.

A phrase is listed where two things agree. Reviews with it have the label more often than the others (Fisher's exact
test, corrected for all phrases by Holm's method). And the classifier reads it so: its contributions pull to the label
in sum, and so do most of the clauses with it. The order is that of the excess: how many reviews more have the label
than if they had it as often as the others do.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import exp, lgamma, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.evaluation.metrics import wilson_interval
from sentiment.evaluation.significance import ALPHA, holm
from sentiment.insights.counting import STOP_WORDS, VERDICTS, Corpus, Phrase

Bools = NDArray[np.bool_]

MIN_SAME = 0.7  # share of a phrase's reviews that have a longer phrase, from which on the longer one stands for both
MIN_OVERLAP = 0.9  # reviews with both phrases among those with either, from which on one stands for both
MAX_VARIANTS = 3  # longer phrases that are named with a phrase
N_EXAMPLES = 2
EXAMPLE_LENGTHS = range(15, 161)  # characters of a clause that is shown


@dataclass(frozen=True)
class Effect:
    """How much more often reviews with a phrase have a label than the others.

    Attributes:
        reviews: that have the phrase.
        labeled: of these, those with the label.
        share: labeled / reviews.
        other_share: share with the label among the other reviews.
        low, high: 95% interval of share - other_share.
        p_value: of Fisher's exact test; in a table corrected by Holm's method.
    """

    reviews: int
    labeled: int
    share: float
    other_share: float
    low: float
    high: float
    p_value: float

    @property
    def difference(self) -> float:
        """The effect: share - other_share."""
        return self.share - self.other_share

    @property
    def excess(self) -> float:
        """How many reviews more have the label than if they had it as often as the others."""
        return self.reviews * self.difference


@dataclass(frozen=True)
class Finding:
    """A row of the table.

    Attributes:
        phrase: with the reviews that have it.
        effect: with the corrected p value.
        contribution: of the phrase to the logits, summed over the reviews that have it.
        clause_share: share of these reviews in which the phrase stands in a clause that pulls to the label.
        variants: longer phrases that contain it and have the label more often, with the number of their reviews.
        examples: clauses of the reviews, those that pull most to the label first.
    """

    phrase: Phrase
    effect: Effect
    contribution: float
    clause_share: float
    variants: tuple[tuple[str, int], ...] = ()
    examples: tuple[str, ...] = ()

    def as_mapping(self) -> dict[str, Any]:
        """Return what is written as JSON."""
        effect = asdict(self.effect) | {"difference": self.effect.difference, "excess": self.effect.excess}
        rest = {name: getattr(self, name) for name in ("contribution", "clause_share", "variants", "examples")}
        return {"phrase": self.phrase.text, **effect, **rest}


@dataclass(frozen=True)
class Ranking:
    """What pulls reviews to a label.

    Attributes:
        label: "negative" or "positive".
        findings: what customers talk about.
        verdicts: phrases that judge and name no cause, such as "disappointed".
        n_tested: phrases, to whose number the p values are corrected.
    """

    label: str
    findings: tuple[Finding, ...]
    verdicts: tuple[Finding, ...]
    n_tested: int


def measure(n: int, k: int, total: int, total_labeled: int) -> Effect:
    """Return the effect of a phrase that n of `total` reviews have, k of the n with the label."""
    others, others_labeled = total - n, total_labeled - k
    share, other_share = k / n, others_labeled / others if others else k / n
    low, high = difference_interval(k, n, others_labeled, others)
    return Effect(n, k, share, other_share, low, high, fisher_exact(k, n, total_labeled, total))


def fisher_exact(k: int, n: int, labeled: int, total: int) -> float:
    """Return p of k or more extreme, where n of `total` reviews are drawn at random and `labeled` of all have a label.

    Fisher, The Logic of Inductive Inference, Journal of the Royal Statistical Society 98, 1935. Two-sided: twice the
    smaller tail, as in `significance.mcnemar_exact`.
    """
    if k * total < n * labeled:  # the other tail is that of the reviews without the label
        k, labeled = n - k, total - labeled
    last = min(n, labeled)
    # of exactly k
    term = exp(_log_choose(labeled, k) + _log_choose(total - labeled, n - k) - _log_choose(total, n))
    tail = term
    while k < last and term > tail * 1e-17:
        term *= (labeled - k) * (n - k) / ((k + 1) * (total - labeled - n + k + 1))
        k += 1
        tail += term
    return min(1.0, 2 * tail)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def difference_interval(k: int, n: int, other_k: int, other_n: int) -> tuple[float, float]:
    """Return the 95% interval of k / n - other_k / other_n.

    Newcombe, Interval estimation for the difference between independent proportions: comparison of eleven methods,
    Statistics in Medicine 17, 1998, method 10; as statsmodels' `confint_proportions_2indep(method="newcomb")`.
    """
    if not n or not other_n:
        return -1.0, 1.0
    share, other = k / n, other_k / other_n
    (low, high), (other_low, other_high) = wilson_interval(k, n), wilson_interval(other_k, other_n)
    below = sqrt((share - low) ** 2 + (other_high - other) ** 2)
    above = sqrt((high - share) ** 2 + (other - other_low) ** 2)
    return share - other - below, share - other + above


def rank(
    corpus: Corpus,
    labels: Sequence[str | None],
    label: str,
    top: int,
    rows: Bools | None = None,
    min_support: int = 1,
    n_groups: int = 1,
) -> Ranking:
    """Return the phrases that pull reviews to a label, at most `top` of each kind.

    Args:
        corpus: the reviews.
        labels: of the reviews; None where a review has none, and is left out.
        label: "negative" or "positive".
        top: findings, and verdicts, at most.
        rows: whether each review counts, shape (n_reviews,); None for all.
        min_support: reviews that have a phrase.
        n_groups: for which the same is done, and to which the p values are corrected besides.
    """
    counts = np.array([one is not None for one in labels])
    if rows is not None:
        counts &= rows
    has_label = np.array([one == label for one in labels]) & counts
    total, total_labeled = int(counts.sum()), int(has_label.sum())
    sign = -1.0 if label == "negative" else 1.0
    supports = [(phrase, int(counts[phrase.reviews].sum())) for phrase in corpus.phrases]
    tested = [(phrase, n) for phrase, n in supports if min_support <= n < total]
    effects = [measure(n, int(has_label[phrase.reviews].sum()), total, total_labeled) for phrase, n in tested]
    p_values = holm([effect.p_value for effect in effects])
    candidates = []
    for (phrase, _), effect, p_value in zip(tested, effects, p_values, strict=True):
        counted = counts[phrase.reviews]
        finding = Finding(
            phrase=phrase,
            effect=replace(effect, p_value=min(1.0, p_value * n_groups)),  # Bonferroni for the groups
            contribution=float(phrase.contributions[counted].sum()),
            clause_share=float((corpus.clause_sums[phrase.clauses[counted]] * sign > 0).mean()),
        )
        is_read_so = finding.contribution * sign > 0 and finding.clause_share > 0.5
        if finding.effect.p_value < ALPHA and effect.difference > 0 and is_read_so:
            candidates.append(finding)
    candidates.sort(key=lambda one: (-one.effect.excess, one.phrase.words))
    causes = [one for one in candidates if names_a_cause(one.phrase)]
    verdicts = [one for one in candidates if not names_a_cause(one.phrase)]
    used: set[int] = set()
    return Ranking(
        label=label,
        findings=tuple(
            replace(one, variants=variants(one, causes), examples=examples(corpus, one.phrase, has_label, sign, used))
            for one in distinct(causes, top)
        ),
        verdicts=tuple(distinct(verdicts, top)),
        n_tested=len(tested),
    )


def names_a_cause(phrase: Phrase) -> bool:
    """Return whether a phrase has a word that is neither a stop word nor a verdict."""
    return any(word not in STOP_WORDS and word not in VERDICTS for word in phrase.words)


def parts(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the shorter phrases in a phrase.

    >>> parts(("runs", "very", "small"))
    [('runs',), ('very',), ('small',), ('runs', 'very'), ('very', 'small')]
    """
    sizes = range(1, len(words))
    return [words[start : start + size] for size in sizes for start in range(len(words) - size + 1)]


def distinct(findings: Sequence[Finding], top: int) -> list[Finding]:
    """Return the first `top` findings, without those that repeat another.

    Of two phrases one of which contains the other, the longer one stays where most reviews with the shorter one have
    it; else the shorter one. Of two that nearly the same reviews have, the first stays.
    """
    by_words = {finding.phrase.words: finding.phrase for finding in findings}
    dropped: set[tuple[str, ...]] = set()
    for words, longer in by_words.items():
        for part in parts(words):
            if part in by_words and part not in dropped:
                is_mostly_longer = len(longer.reviews) >= MIN_SAME * len(by_words[part].reviews)
                dropped.add(part if is_mostly_longer else words)
    kept: list[Finding] = []
    for finding in findings:
        if len(kept) == top:
            break
        if finding.phrase.words not in dropped and not any(is_same(finding.phrase, one.phrase) for one in kept):
            kept.append(finding)
    return kept


def is_same(a: Phrase, b: Phrase) -> bool:
    """Return whether nearly the same reviews have two phrases."""
    n_both = len(np.intersect1d(a.reviews, b.reviews, assume_unique=True))
    return n_both >= MIN_OVERLAP * (len(a.reviews) + len(b.reviews) - n_both)


def variants(finding: Finding, others: Sequence[Finding]) -> tuple[tuple[str, int], ...]:
    """Return longer phrases that contain a finding's and have the label more often, with their numbers of reviews."""
    words, share = finding.phrase.words, finding.effect.share
    return tuple(
        (one.phrase.text, one.effect.reviews)
        for one in others
        if words in parts(one.phrase.words) and one.effect.share > share
    )[:MAX_VARIANTS]


def examples(corpus: Corpus, phrase: Phrase, has_label: Bools, sign: float, used: set[int]) -> tuple[str, ...]:
    """Return clauses with the phrase of reviews with the label, those that pull most to it first; adds to `used`."""
    clauses = phrase.clauses[has_label[phrase.reviews]]
    order = clauses[np.argsort(-sign * corpus.clause_sums[clauses], kind="stable")]
    shown: dict[str, int] = {}
    for clause in order.tolist():
        text = corpus.clause_text(clause)
        if clause not in used and len(text) in EXAMPLE_LENGTHS and text not in shown:
            shown[text] = clause
        if len(shown) == N_EXAMPLES:
            break
    used.update(shown.values())
    return tuple(shown)
