"""Compute the points of the plots: calibration, ROC, precision and recall, coverage, confusion.

No floats are summed in an order that matters. Tested against scikit-learn.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sentiment.common.tables import LABELS
from sentiment.evaluation.bootstrap import Float64s, Labels, Probabilities
from sentiment.numerics.arrays import exact_mean

RankCounts = tuple[NDArray[np.int64], NDArray[np.int64]]  # of `rank_counts`


def calibration_curve(labels: Labels, probabilities: Probabilities, bins: int) -> Iterator[dict[str, float]]:
    """Yield mean probability, share of positive reviews and rows of each non-empty bin of equal width."""
    bin_ids = np.minimum((probabilities * bins).astype(int), bins - 1)
    for bin_id in np.unique(bin_ids):
        selected = bin_ids == bin_id
        yield {
            "predicted": exact_mean(probabilities[selected]),
            "observed": int(np.count_nonzero(labels[selected])) / int(np.count_nonzero(selected)),
            "rows": int(np.count_nonzero(selected)),
        }


def rank_counts(labels: NDArray[np.int8], scores: NDArray[np.float32]) -> RankCounts:
    """Count the samples at or above each distinct score, from the highest score to the lowest.

    Args:
        labels: 0 or 1, shape (n_samples,).
        scores: higher for label 1, shape (n_samples,).

    Returns:
        Those of label 0 and of label 1: false and true positives, each int64 of shape (n_scores,).
    """
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order]
    last_of_score = np.append(np.flatnonzero(sorted_scores[1:] != sorted_scores[:-1]), len(scores) - 1)
    true_positives = np.cumsum(labels[order], dtype=np.int64)[last_of_score]
    return last_of_score + 1 - true_positives, true_positives


def coverage_points(labels: Labels, predicted: Labels, probabilities: Probabilities) -> tuple[Float64s, Float64s]:
    """Return coverage, and the share of wrong labels among the reviews covered: the surest ones first.

    Sure is what has a high probability of the predicted label. Geifman and El-Yaniv, Selective Classification for Deep
    Neural Networks, NeurIPS 2017.
    """
    sureness = np.where(predicted == 1, probabilities, 1 - probabilities)
    order = np.argsort(-sureness, kind="stable")
    last = np.append(np.flatnonzero(np.diff(sureness[order])), len(order) - 1)  # of each run of equal ones
    n_wrong = np.cumsum((labels != predicted)[order], dtype=np.int64)[last]
    return (last + 1) / len(order), n_wrong / (last + 1)


def roc_points(counts: RankCounts) -> tuple[Float64s, Float64s]:
    """Return false and true positive rates, from (0, 0) to (1, 1), without points on a straight line."""
    fp, tp = counts
    corners = np.flatnonzero((np.diff(fp, 2) != 0) | (np.diff(tp, 2) != 0)) + 1
    kept = np.unique(np.concatenate([[0], corners, [len(fp) - 1]]))
    fp, tp = (np.insert(count[kept], 0, 0) for count in (fp, tp))
    return fp / fp[-1], tp / tp[-1]


def precision_recall_points(counts: RankCounts) -> tuple[Float64s, Float64s]:
    """Return precision and recall at each score, by growing recall, after the point of recall 0 and precision 1."""
    fp, tp = counts
    return np.insert(tp / (tp + fp), 0, 1.0), np.insert(tp / tp[-1], 0, 0.0)


MAX_POINTS = 200  # of a curve; more do not show


def thinned_points(**columns: NDArray[np.float64]) -> list[dict[str, float]]:
    """Return the points of a curve by the names of its coordinates, at most `MAX_POINTS`, both ends among them."""
    last = len(next(iter(columns.values()))) - 1
    steps = min(last, MAX_POINTS - 1)
    indices = [(2 * step * last + steps) // (2 * steps) for step in range(steps + 1)]  # evenly spaced and rounded
    return [{name: float(column[index]) for name, column in columns.items()} for index in indices]


def confusion_points(labels: Labels, predicted: Labels) -> list[dict[str, object]]:
    """Return the four cells of the confusion matrix: actual and predicted label, rows, share of the actual label."""
    cells = np.bincount(2 * labels.astype(np.int64) + predicted, minlength=4).reshape(2, 2).tolist()
    return [
        {
            "actual": LABELS[actual],
            "predicted": LABELS[label],
            "rows": cells[actual][label],
            "share": cells[actual][label] / max(1, sum(cells[actual])),
        }
        for actual in (0, 1)
        for label in (0, 1)
    ]
