"""Points of the plots that `dvc plots` draws: one small table a picture."""

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

MAX_POINTS = 200  # of a curve; more do not show


def curve_points(labels: NDArray[np.int8], probabilities: NDArray[np.float32]) -> dict[str, list[dict[str, float]]]:
    """Return the points of the ROC and precision-recall curves, thinned to `MAX_POINTS`."""
    false_rate, true_rate, _ = metrics.roc_curve(labels, probabilities)
    precision, recall, _ = metrics.precision_recall_curve(labels, probabilities)
    return {
        "roc": _points(false_positive_rate=false_rate, true_positive_rate=true_rate),
        "precision_recall": _points(recall=recall[::-1], precision=precision[::-1]),
    }


def _points(**columns: NDArray[np.float64]) -> list[dict[str, float]]:
    length = len(next(iter(columns.values())))
    selected = np.unique(np.linspace(0, length - 1, min(length, MAX_POINTS)).round().astype(int))
    return [{name: float(column[index]) for name, column in columns.items()} for index in selected]


def confusion_points(
    labels: NDArray[np.int8], predicted: NDArray[np.int8], names: tuple[str, str]
) -> list[dict[str, object]]:
    """Return the four cells of the confusion matrix: actual and predicted label, rows, share of the actual label."""
    matrix = metrics.confusion_matrix(labels, predicted, labels=[0, 1])
    return [
        {
            "actual": names[actual],
            "predicted": names[answer],
            "rows": int(matrix[actual, answer]),
            "share": float(matrix[actual, answer] / matrix[actual].sum()),
        }
        for actual in (0, 1)
        for answer in (0, 1)
    ]
