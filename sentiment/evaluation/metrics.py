"""Compute the metrics of binary predictions: from the confusion matrix, from ranks, and from probabilities.

    counts = confusion_counts(labels, predicted)
    counts.of_label(1).f1

Each metric of counts is rounded once or twice; no floats are summed. Tested against scikit-learn.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from sentiment.data.labels import LABELS, predict_labels
from sentiment.evaluation.bootstrap import RESAMPLED, percentile_interval, resample, roc_auc, weighted_metrics
from sentiment.numerics.arrays import exact_mean, log

# Student's t quantile of 0.975 for 1 to 19 degrees of freedom; scipy's differ in the last digit between processors
T_975 = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930,
)  # fmt: skip
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


def classification_report(counts: ConfusionCounts) -> dict[str, float | dict[str, float]]:
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
        LABELS[0]: rows[0],
        LABELS[1]: rows[1],
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


MIN_PROBABILITY = 2.0**-52  # of the actual label, in the log loss: a sure mistake does not make it infinite
Labels = NDArray[np.int8]
Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class ScoredReviews:
    """What a metric is computed from.

    Attributes:
        labels: 0 or 1, shape (n_samples,), both present.
        probabilities: of label 1, shape (n_samples,).
        bins: of the expected calibration error.
    """

    labels: Labels
    probabilities: Probabilities
    confusion: ConfusionCounts
    ranking: RankCounts
    bins: int


@dataclass(frozen=True)
class Metric:
    """One metric; the report, the model card and the files of metrics take theirs from `METRICS`.

    Attributes:
        name: its key in files of metrics.
        title: for readers.
        of: computes it.
        lower_is_better: its direction.
    """

    name: str
    title: str
    of: Callable[[ScoredReviews], float]
    lower_is_better: bool = False

    @property
    def has_interval(self) -> bool:
        """Whether it has a 95% bootstrap interval: the keys `NAME_low` and `NAME_high`."""
        return self.name in RESAMPLED


def f1_macro(confusion: ConfusionCounts) -> float:
    """Return the mean of the F1 of both labels."""
    return (confusion.of_label(0).f1 + confusion.of_label(1).f1) / 2


def balanced_accuracy(confusion: ConfusionCounts) -> float:
    """Return the mean of the recall of both labels."""
    return (confusion.of_label(0).recall + confusion.of_label(1).recall) / 2


def majority_accuracy(confusion: ConfusionCounts) -> float:
    """Return the accuracy of predicting the more frequent label for every sample."""
    return max(confusion.of_label(label).support for label in (0, 1)) / confusion.n_samples


def brier(labels: Labels, probabilities: Probabilities) -> float:
    """Return the mean squared difference between probability and label."""
    return exact_mean(np.square(probabilities.astype(np.float64) - labels))


METRICS = (
    Metric("accuracy", "accuracy", lambda r: r.confusion.accuracy),
    Metric("f1_macro", "F1, macro", lambda r: f1_macro(r.confusion)),
    Metric("roc_auc", "ROC AUC", lambda r: float(roc_auc(r.labels, r.probabilities)[0])),
    Metric("majority_accuracy", "accuracy of the majority label", lambda r: majority_accuracy(r.confusion)),
    Metric("balanced_accuracy", "balanced accuracy", lambda r: balanced_accuracy(r.confusion)),
    Metric("precision", "precision", lambda r: r.confusion.of_label(1).precision),
    Metric("recall", "recall", lambda r: r.confusion.of_label(1).recall),
    Metric("f1", "F1, positive", lambda r: r.confusion.of_label(1).f1),
    Metric("average_precision", "average precision", lambda r: average_precision(r.ranking)),
    Metric("log_loss", "log loss (nats)", lambda r: log_loss(r.labels, r.probabilities), lower_is_better=True),
    Metric("brier", "Brier score", lambda r: brier(r.labels, r.probabilities), lower_is_better=True),
    Metric(
        "expected_calibration_error",
        "expected calibration error",
        lambda r: expected_calibration_error(r.labels, r.probabilities, r.bins),
        lower_is_better=True,
    ),
)
# few, so that the tables of `dvc metrics diff` and `dvc exp show` are short
PRIMARY_METRICS = (
    "rows", "majority_accuracy", *(name + suffix for name in RESAMPLED for suffix in ("", "_low", "_high")), "log_loss"
)  # fmt: skip


def compute_metrics(
    labels: Labels,
    probabilities: Probabilities,
    threshold: float,
    bins: int,
    n_resamples: int,
    seed: int,
    folds: NDArray[np.int8] | None = None,
) -> dict[str, float]:
    """Return every metric; those with an interval have 95% bounds, too (`_low`, `_high`).

    Args:
        labels: 0 or 1, shape (n_samples,), both present.
        probabilities: of label 1, shape (n_samples,).
        bins: of the expected calibration error.
        n_resamples, seed: of the bootstrap, from which the bounds are.
        folds: of each sample in cross-validation, shape (n_samples,); bounds are then those of `fold_intervals`.
    """
    predicted = predict_labels(probabilities, threshold)
    reviews = ScoredReviews(
        labels, probabilities, confusion_counts(labels, predicted), rank_counts(labels, probabilities), bins
    )
    values = {metric.name: metric.of(reviews) for metric in METRICS}
    if folds is not None:
        return {"rows": len(labels), **values, **fold_intervals(labels, probabilities, threshold, folds)}
    for name, values_by_resample in resample(labels, predicted[None], probabilities[None], n_resamples, seed).items():
        values[f"{name}_low"], values[f"{name}_high"] = percentile_interval(values_by_resample[0])
    return {"rows": len(labels), **values}


def fold_intervals(
    labels: Labels, probabilities: Probabilities, threshold: float, folds: NDArray[np.int8]
) -> dict[str, float]:
    """Return the 95% bounds (`_low`, `_high`) of cross-validated metrics.

    Folds share most of their training reviews, so the variance of the mean of k folds is taken as (1/k + 1/(k-1)) times
    that between folds: Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52, 2003, with
    Student's t. The bounds lie around the metric of all reviews.

    Args:
        labels: 0 or 1, shape (n_samples,), both in each fold.
        probabilities: of label 1, by a classifier that was not trained on the sample's fold, shape (n_samples,).
        folds: from 0, shape (n_samples,).
    """
    n_folds = int(folds.max()) + 1
    parts = np.stack([np.ones(len(folds)), *(folds == fold for fold in range(n_folds))])  # (1 + n_folds, n_samples)
    values = weighted_metrics(parts, labels, predict_labels(probabilities, threshold), probabilities)
    bounds: dict[str, float] = {}
    for name, (overall, *by_fold) in ((name, parts.tolist()) for name, parts in values.items()):
        mean = math.fsum(by_fold) / n_folds
        variance = math.fsum((value - mean) * (value - mean) for value in by_fold) / (n_folds - 1)
        half = T_975[n_folds - 2] * math.sqrt((1 / n_folds + 1 / (n_folds - 1)) * variance)
        bounds |= {f"{name}_low": max(0.0, overall - half), f"{name}_high": min(1.0, overall + half)}
    return bounds


def log_loss(labels: Labels, probabilities: Probabilities) -> float:
    """Return the mean negative logarithm (nats) of the probability of the actual label, which is at least 2**-52."""
    of_label_1 = probabilities.astype(np.float64)
    of_actual = np.where(labels == 1, of_label_1, 1.0 - of_label_1)
    return exact_mean(-log(np.maximum(of_actual, MIN_PROBABILITY)))


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


def expected_calibration_error(labels: Labels, probabilities: Probabilities, bins: int) -> float:
    """Mean gap between probability and share of positive reviews over bins, weighted by rows.

    Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015.
    """
    gaps = [
        abs(bin_["predicted"] - bin_["observed"]) * bin_["rows"]
        for bin_ in calibration_curve(labels, probabilities, bins)
    ]
    return math.fsum(gaps) / len(labels)


SLICE_COLUMNS = ("slice", "value", "rows", "accuracy", "accuracy_low", "accuracy_high")


def accuracy_by_slice(
    correct: NDArray[np.bool_], slices: Mapping[str, NDArray[np.object_]]
) -> Iterator[dict[str, object]]:
    """Yield rows, accuracy and its 95% Wilson interval for every value of every slice, ordered by `natural_key`.

    Args:
        correct: whether each prediction is correct, shape (n_samples,).
        slices: by name, the value of each row, shape (n_samples,).
    """
    for name, row_values in slices.items():
        values, indices = np.unique(row_values.astype(str), return_inverse=True)
        for index, value in sorted(enumerate(values.tolist()), key=lambda item: natural_key(item[1])):
            selected = correct[indices == index]
            n_correct = int(np.count_nonzero(selected))
            low, high = wilson_interval(n_correct, len(selected))
            yield {
                "slice": name,
                "value": value,
                "rows": len(selected),
                "accuracy": n_correct / len(selected),
                "accuracy_low": low,
                "accuracy_high": high,
            }


def natural_key(name: str) -> tuple[Fraction | float, list[tuple[int, str]]]:
    """Return a sort key: numbers first, by value; then names, by the whole numbers in them.

    >>> sorted(["over 100 words", "4.5", "21-40 words", "1-20 words", "10", "4.25", "-3"], key=natural_key)
    ['-3', '4.25', '4.5', '10', '1-20 words', '21-40 words', 'over 100 words']
    """
    number = Fraction(name) if re.fullmatch(r"-?[0-9]{1,99}(\.[0-9]{1,99})?", name) else math.inf
    parts = re.split(r"([0-9]+)", name)  # numbers are at odd positions, so that like is compared with like
    digits = [part.lstrip("0") if index % 2 else part for index, part in enumerate(parts)]
    return number, [(len(part) if index % 2 else 0, part) for index, part in enumerate(digits)]


MAX_POINTS = 200  # of a curve; more do not show


def thinned_points(**columns: NDArray[np.float64]) -> list[dict[str, float]]:
    """Return the points of a curve by the names of its coordinates, at most `MAX_POINTS`, both ends among them."""
    last = len(next(iter(columns.values()))) - 1
    steps = min(last, MAX_POINTS - 1)
    indices = [(2 * step * last + steps) // (2 * steps) for step in range(steps + 1)]  # evenly spaced and rounded
    return [{name: float(column[index]) for name, column in columns.items()} for index in indices]


def confusion_points(counts: ConfusionCounts) -> list[dict[str, object]]:
    """Return the four cells of the confusion matrix: actual and predicted label, rows, share of the actual label."""
    cells = counts.cells
    return [
        {
            "actual": LABELS[actual],
            "predicted": LABELS[label],
            "rows": cells[actual][label],
            "share": ratio(cells[actual][label], sum(cells[actual])),
        }
        for actual in (0, 1)
        for label in (0, 1)
    ]
