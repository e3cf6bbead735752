"""Labels and probabilities in; the points of the plots that `dvc plots` draws, one small table per plot, out."""

import numpy as np
from numpy.typing import NDArray

from sentiment.evaluation.confusion import confusion_counts, ratio
from sentiment.evaluation.ranking import precision_recall_points, rank_counts, roc_points

MAX_POINTS = 200  # of a curve; more do not show


def curve_points(labels: NDArray[np.int8], probabilities: NDArray[np.float32]) -> dict[str, list[dict[str, float]]]:
    """Return the points of the ROC and precision-recall curves, thinned to `MAX_POINTS`."""
    counts = rank_counts(labels, probabilities)
    false_rate, true_rate = roc_points(counts)
    precision, recall = precision_recall_points(counts)
    return {
        "roc": _points(false_positive_rate=false_rate, true_positive_rate=true_rate),
        "precision_recall": _points(recall=recall, precision=precision),
    }


def _points(**columns: NDArray[np.float64]) -> list[dict[str, float]]:
    last = len(next(iter(columns.values()))) - 1
    steps = min(last, MAX_POINTS - 1)
    indices = [(2 * step * last + steps) // (2 * steps) for step in range(steps + 1)]  # evenly spaced and rounded
    return [{name: float(column[index]) for name, column in columns.items()} for index in indices]


def confusion_points(
    labels: NDArray[np.int8], predicted: NDArray[np.int8], names: tuple[str, str]
) -> list[dict[str, object]]:
    """Return the four cells of the confusion matrix: actual and predicted label, rows, share of the actual label."""
    cells = confusion_counts(labels, predicted).cells
    return [
        {
            "actual": names[actual],
            "predicted": names[label],
            "rows": cells[actual][label],
            "share": ratio(cells[actual][label], sum(cells[actual])),
        }
        for actual in (0, 1)
        for label in (0, 1)
    ]
