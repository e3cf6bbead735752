"""Labels and predictions in; the confusion matrix out, and the metrics that follow from its four counts.

    counts = confusion_counts(labels, predicted)
    counts.of_label(1).f1

Each metric is rounded once or twice; no floats are summed. Tested against scikit-learn.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054  # the normal quantile of 0.975


@dataclass(frozen=True)
class LabelCounts:
    """Predictions of one label: correct, wrong, and samples of the label that were missed."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def support(self) -> int:
        """Number of samples that have the label."""
        return self.true_positives + self.false_negatives

    @property
    def precision(self) -> float:
        """Share of the predictions that are correct; 0 without predictions."""
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the samples that were found; 0 without samples."""
        return ratio(self.true_positives, self.support)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 without samples and predictions."""
        return ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)


@dataclass(frozen=True)
class ConfusionCounts:
    """Samples by actual and predicted label: cells[actual][predicted]."""

    cells: tuple[tuple[int, int], tuple[int, int]]

    @property
    def n_samples(self) -> int:
        """Number of all samples."""
        return sum(map(sum, self.cells))

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return ratio(self.cells[0][0] + self.cells[1][1], self.n_samples)

    def of_label(self, label: int) -> LabelCounts:
        """Return the counts of one label, 0 or 1."""
        other = 1 - label
        return LabelCounts(self.cells[label][label], self.cells[other][label], self.cells[label][other])


def confusion_counts(labels: NDArray[np.int8], predicted: NDArray[np.int8]) -> ConfusionCounts:
    """Count samples by actual and predicted label, each 0 or 1, shape (n_samples,)."""
    tn, fp, fn, tp = np.bincount(2 * labels.astype(np.int64) + predicted, minlength=4).tolist()
    return ConfusionCounts(((tn, fp), (fn, tp)))


def classification_report(counts: ConfusionCounts, names: tuple[str, str]) -> dict[str, float | dict[str, float]]:
    """Return precision, recall, F1 and support by label and on average, with the keys of scikit-learn's report."""
    sides = [counts.of_label(label) for label in (0, 1)]
    rows = [
        {"precision": side.precision, "recall": side.recall, "f1-score": side.f1, "support": float(side.support)}
        for side in sides
    ]
    keys, total = ("precision", "recall", "f1-score"), float(counts.n_samples)
    macro = {key: (rows[0][key] + rows[1][key]) / 2 for key in keys}
    weighted = {key: sum(row[key] * row["support"] for row in rows) / total for key in keys}
    return {
        names[0]: rows[0],
        names[1]: rows[1],
        "accuracy": counts.accuracy,
        "macro avg": {**macro, "support": total},
        "weighted avg": {**weighted, "support": total},
    }


def wilson_interval(n_correct: int, n_samples: int) -> tuple[float, float]:
    """Return the 95% interval of a share, for n_samples >= 1.

    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22, 1927.
    """
    squared = Z_95 * Z_95
    n_wrong = n_samples - n_correct
    spread = Z_95 * sqrt(squared + 4 * n_correct * n_wrong / n_samples)
    center, scale = 2 * n_correct + squared, 2 * (n_samples + squared)
    low = (center - spread) / scale if n_correct else 0.0
    high = (center + spread) / scale if n_wrong else 1.0
    return low, high


def ratio(part: int, total: int) -> float:
    """Return part / total; 0 where both are 0."""
    return part / total if total else 0.0
