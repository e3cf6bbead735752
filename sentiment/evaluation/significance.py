"""Compare two classifiers on the same reviews: differences, intervals and McNemar's exact test."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentiment.evaluation.bootstrap import WeightedMetrics, percentile_interval, resample
from sentiment.evaluation.metrics import Z_95, Predictions, point_metrics

ALPHA = 0.05  # significance level: the rate of false "better" or "worse" verdicts between equal classifiers
POWER = 0.8  # of the test, for the minimum detectable difference
Z_POWER = 0.8416212335729142  # the normal quantile of POWER; the quantile of 1 - ALPHA / 2 is Z_95
CALIBRATION_BINS = 10  # of the expected calibration error
MIN_DISCORDANT = 6  # discordant reviews, all in one direction, needed to reach ALPHA: 2 / 2**6 < 0.05


@dataclass(frozen=True)
class Difference:
    """A metric of A and of B, and B minus A with its 95% interval."""

    a: float
    b: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Comparison of classifier B with classifier A on the same reviews.

    Attributes:
        metrics: every metric that is defined for both.
        only_a_correct, only_b_correct: number of reviews that one classifier predicts correctly and the other does not.
        p_value: of McNemar's exact test.
        min_detectable_difference: the smallest difference in accuracy that these reviews would show.
    """

    rows: int
    metrics: dict[str, Difference]
    only_a_correct: int
    only_b_correct: int
    p_value: float
    min_detectable_difference: float

    @property
    def verdict(self) -> Literal["better", "worse", "no difference"]:
        """Whether B is better than A by accuracy, decided by McNemar's exact test.

        Not by the bootstrap interval, which is too narrow with few discordant reviews: four of four in favor of B
        exclude zero, and two equal classifiers reach that in one case of eight.
        """
        if self.p_value >= ALPHA:
            return "no difference"
        return "better" if self.only_b_correct > self.only_a_correct else "worse"

    def as_dict(self) -> dict[str, object]:
        """Return everything, the verdict with it, as JSON can hold it."""
        return {"verdict": self.verdict, **asdict(self)}


def compare_paired(labels: NDArray[np.int8], a: Predictions, b: Predictions, n_resamples: int, seed: int) -> Comparison:
    """Compare the predictions of two classifiers on the same reviews.

    Args:
        labels: 0 or 1, shape (n_samples,), both present.
        a, b: the predictions of each classifier.
        n_resamples, seed: of the paired bootstrap; every resample takes the same reviews for A and B.
    """
    sides = [WeightedMetrics(labels, side.labels, side.probabilities, CALIBRATION_BINS) for side in (a, b)]
    value_a, value_b = (point_metrics(side, len(labels)) for side in sides)
    resampled = resample(sides, len(labels), n_resamples, seed)
    is_correct_a, is_correct_b = a.labels == labels, b.labels == labels
    only_a, only_b = int((is_correct_a & ~is_correct_b).sum()), int((is_correct_b & ~is_correct_a).sum())
    return Comparison(
        rows=len(labels),
        metrics={
            name: Difference(
                value_a[name], value_b[name], value_b[name] - value_a[name], *percentile_interval(draws[1] - draws[0])
            )
            for name, draws in resampled.items()
            if name in value_a and name in value_b
        },
        only_a_correct=only_a,
        only_b_correct=only_b,
        p_value=mcnemar_exact(only_a, only_b),
        min_detectable_difference=min_detectable_difference(len(labels), only_a + only_b),
    )


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Return the two-sided exact p: are discordant reviews split like tosses of a fair coin?

    McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12, 1947; the
    binomial form as in statsmodels' `mcnemar(exact=True)`.
    """
    n = only_a + only_b
    tail, term = 0, 1
    for k in range(min(only_a, only_b) + 1):  # in integers: term is "n over k"
        tail += term
        term = term * (n - k) // (k + 1)
    return min(1.0, 2 * tail / (1 << n))


def format_p(p: float) -> str:
    """Return a p value as tables show it.

    >>> format_p(0.0004), format_p(0.04)
    ('< 0.001', '0.040')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values that hold for all of the tests together, in the given order.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979; as
    statsmodels' `multipletests(method="holm")`.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def min_detectable_difference(rows: int, discordant: int) -> float:
    """Return the smallest difference in accuracy found with probability `POWER` at level `ALPHA`.

    Solved for the difference d from Connor, Sample size for testing differences in proportions for the paired-sample
    design, Biometrics 43, 1987, equation 3: sqrt(rows) d = z_alpha sqrt(s) + z_power sqrt(s - d**2), where s is the
    share of discordant reviews. At least `MIN_DISCORDANT` reviews, which the exact test needs.
    """
    squared = Z_POWER * Z_POWER
    root = sqrt(max(0.0, rows + squared - Z_95 * Z_95))
    difference = sqrt(discordant / rows) * (Z_95 * sqrt(rows) + Z_POWER * root) / (rows + squared)
    return min(1.0, max(difference, MIN_DISCORDANT / rows))
