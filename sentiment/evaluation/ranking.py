"""Metrics of a ranking by score: ROC AUC, average precision and the points of their curves.

Everything follows from integer counts of the samples at or above each score, so it does not depend on the order of
additions. Tested against scikit-learn.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]


@dataclass(frozen=True)
class RankCounts:
    """Samples at or above each distinct score, from the highest score to the lowest.

    Attributes:
        false_positives, true_positives: of labels 0 and 1, shape (n_scores,), int64.
    """

    false_positives: NDArray[np.int64]
    true_positives: NDArray[np.int64]


def rank_counts(labels: NDArray[np.int8], scores: NDArray[np.float32]) -> RankCounts:
    """Count labels by score.

    Args:
        labels: 0 or 1, shape (n_samples,).
        scores: higher for label 1, shape (n_samples,).
    """
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order]
    last_of_score = np.append(np.flatnonzero(sorted_scores[1:] != sorted_scores[:-1]), len(scores) - 1)
    true_positives = np.cumsum(labels[order], dtype=np.int64)[last_of_score]
    return RankCounts(last_of_score + 1 - true_positives, true_positives)


def roc_auc(counts: RankCounts) -> float:
    """Return the area under the ROC curve: how often a positive sample scores higher than a negative one, ties half.

    The trapezoids are summed as integers: twice the area in units of one positive by one negative sample.
    """
    fp, tp = (np.insert(count, 0, 0) for count in (counts.false_positives, counts.true_positives))
    twice = int(np.add.reduce((fp[1:] - fp[:-1]) * (tp[1:] + tp[:-1])))
    return twice / (2 * int(fp[-1]) * int(tp[-1]))


def average_precision(counts: RankCounts) -> float:
    """Return the mean of the precisions at each score, weighted by the recall gained there."""
    fp, tp = counts.false_positives, counts.true_positives
    gained = tp - np.insert(tp[:-1], 0, 0)
    return math.fsum((gained / tp[-1] * (tp / (tp + fp))).tolist())


def roc_points(counts: RankCounts) -> tuple[Float64s, Float64s]:
    """Return false and true positive rates, from (0, 0) to (1, 1), without points on a straight line."""
    fp, tp = counts.false_positives, counts.true_positives
    corners = np.flatnonzero((np.diff(fp, 2) != 0) | (np.diff(tp, 2) != 0)) + 1
    kept = np.unique(np.concatenate([[0], corners, [len(fp) - 1]]))
    fp, tp = (np.insert(count[kept], 0, 0) for count in (fp, tp))
    return fp / fp[-1], tp / tp[-1]


def precision_recall_points(counts: RankCounts) -> tuple[Float64s, Float64s]:
    """Return precision and recall at each score, by growing recall, after the point of recall 0 and precision 1."""
    fp, tp = counts.false_positives, counts.true_positives
    return np.insert(tp / (tp + fp), 0, 1.0), np.insert(tp / tp[-1], 0, 0.0)
