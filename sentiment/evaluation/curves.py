"""Points of the plots that `dvc plots` draws: one small table a picture."""

import csv
import io
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

MOST_POINTS = 200  # of a curve; more do not show


def as_csv(rows: Iterable[Mapping[str, object]]) -> str:
    r"""Return rows as CSV text with `\n` line ends, whatever the system."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def curve_points(labels: NDArray[np.int8], probabilities: NDArray[np.float32]) -> dict[str, list[dict[str, float]]]:
    """Return the points of the ROC and precision-recall curves, thinned to `MOST_POINTS`."""
    false_rate, true_rate, _ = metrics.roc_curve(labels, probabilities)
    precision, recall, _ = metrics.precision_recall_curve(labels, probabilities)
    return {
        "roc": _points(false_positive_rate=false_rate, true_positive_rate=true_rate),
        "precision_recall": _points(recall=recall[::-1], precision=precision[::-1]),
    }


def _points(**columns: NDArray[np.float64]) -> list[dict[str, float]]:
    length = len(next(iter(columns.values())))
    chosen = np.unique(np.linspace(0, length - 1, min(length, MOST_POINTS)).round().astype(int))
    return [{name: float(column[place]) for name, column in columns.items()} for place in chosen]


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
