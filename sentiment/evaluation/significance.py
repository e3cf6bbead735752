"""Is the difference between two classifiers on the same reviews more than chance?"""

from dataclasses import asdict, dataclass
from math import sqrt
from statistics import NormalDist
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from sentiment.evaluation.bootstrap import METRICS, interval, resample, weighted_metrics

ALPHA = 0.05  # "better" or "worse" is said in error once in twenty comparisons of equals, at most
POWER = 0.8  # with which the smallest difference that shows would have shown
FEWEST = 6  # reviews that must change sides, all one way, for the exact test to reach ALPHA: 2 / 2**6 < 0.05


@dataclass(frozen=True)
class Answers:
    """What one classifier said of the test reviews, in one order for both.

    Attributes:
        predicted: 0 or 1, shape (rows,).
        probabilities: of label 1, shape (rows,).
    """

    predicted: NDArray[np.int8]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """A metric of A and of B, and B minus A with its 95 % interval."""

    a: float
    b: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """What is known of B against A.

    Attributes:
        only_a_right, only_b_right: reviews on which one was right and the other wrong.
        p: of McNemar's exact test.
        detectable: the smallest difference in accuracy that this test set would show.
    """

    rows: int
    metrics: dict[str, Difference]
    only_a_right: int
    only_b_right: int
    p: float
    detectable: float

    @classmethod
    def of(cls, labels: NDArray[np.int8], a: Answers, b: Answers, draws: int, seed: int) -> Self:
        """Compare two sets of answers to the same reviews.

        Args:
            labels: 0 or 1, shape (rows,), both present.
            draws, seed: of the paired bootstrap: every draw takes the same reviews for A and B.
        """
        predicted = np.stack([a.predicted, b.predicted])
        probabilities = np.stack([a.probabilities, b.probabilities])
        once = np.ones((1, len(labels)), dtype=np.float32)
        exact = [weighted_metrics(once, labels, answers.predicted, answers.probabilities) for answers in (a, b)]
        drawn = resample(labels, predicted, probabilities, draws, seed)
        right = predicted == labels
        only_a, only_b = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
        return cls(
            rows=len(labels),
            metrics={name: _difference([float(of[name][0]) for of in exact], drawn[name]) for name in METRICS},
            only_a_right=only_a,
            only_b_right=only_b,
            p=mcnemar_exact(only_a, only_b),
            detectable=detectable_difference(len(labels), only_a + only_b),
        )

    @property
    def verdict(self) -> Literal["better", "worse", "no difference"]:
        """B against A by accuracy; decided by McNemar's exact test and not by the bootstrap's interval.

        With few disagreements the interval is too sure of itself: four of four in B's favour exclude zero, and equals
        do that in one case of eight.
        """
        if self.p >= ALPHA:
            return "no difference"
        return "better" if self.only_b_right > self.only_a_right else "worse"

    def as_dict(self) -> dict[str, object]:
        """Return everything, the verdict with it, as JSON can hold it."""
        return {"verdict": self.verdict, **asdict(self)}


def _difference(values: list[float], drawn: NDArray[np.float64]) -> Difference:
    a, b = values
    return Difference(a, b, b - a, *interval(drawn[1] - drawn[0]))


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Return the two-sided exact p: were the disagreements heads or tails of a fair coin?

    McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12, 1947; the
    binomial form as in statsmodels' `mcnemar(exact=True)`.
    """
    from scipy.special import bdtr  # not scipy.stats, which takes seconds to import

    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def detectable_difference(rows: int, disagreements: int) -> float:
    """Return the smallest difference in accuracy found with probability `POWER` at level `ALPHA`.

    Solved for the difference d from Connor, Sample size for testing differences in proportions for the paired-sample
    design, Biometrics 43, 1987, equation 3: sqrt(rows) d = z_alpha sqrt(s) + z_power sqrt(s - d**2), where s is the
    share of reviews on which the two disagree. Never fewer than `FEWEST` reviews, the least that the exact test needs.
    """
    normal = NormalDist()
    z_alpha, z_power = normal.inv_cdf(1 - ALPHA / 2), normal.inv_cdf(POWER)
    root = sqrt(max(0.0, rows + z_power**2 - z_alpha**2))
    difference = sqrt(disagreements / rows) * (z_alpha * sqrt(rows) + z_power * root) / (rows + z_power**2)
    return min(1.0, max(difference, FEWEST / rows))
