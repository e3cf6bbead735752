"""Labels and predicted probabilities in; metrics with confidence intervals, and accuracy by slice, out.

Every metric has the same bits on every processor: counts are integers, sums of probabilities are exact, and logarithms
are those of `sentiment.numerics`. Tested against scikit-learn.
"""

import math
import re
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from sentiment.evaluation.bootstrap import METRICS, percentile_interval, resample
from sentiment.evaluation.confusion import confusion_counts, wilson_interval
from sentiment.evaluation.ranking import average_precision, rank_counts, roc_auc
from sentiment.numerics.array_functions import log
from sentiment.numerics.array_sums import exact_mean

MIN_PROBABILITY = 2.0**-52  # of the actual label, in the log loss: a sure mistake does not make it infinite
# few, so that the tables of `dvc metrics diff` and `dvc exp show` are short
PRIMARY_METRICS = (
    "rows", "majority_accuracy", *(name + suffix for name in METRICS for suffix in ("", "_low", "_high"))
)  # fmt: skip
Labels = NDArray[np.int8]
Probabilities = NDArray[np.float32]


def compute_metrics(
    labels: Labels, probabilities: Probabilities, threshold: float, bins: int, n_resamples: int, seed: int
) -> dict[str, float]:
    """Return every test metric; accuracy, f1_macro and roc_auc with 95% bootstrap bounds (`_low`, `_high`).

    Args:
        labels: 0 or 1, shape (n_samples,), both present.
        probabilities: of label 1, shape (n_samples,).
        bins: of the expected calibration error.
        n_resamples, seed: of the bootstrap.
    """
    predicted = (probabilities >= threshold).astype(np.int8)
    confusion, ranking = confusion_counts(labels, predicted), rank_counts(labels, probabilities)
    negative, positive = confusion.of_label(0), confusion.of_label(1)
    values = {
        "accuracy": confusion.accuracy,
        "f1_macro": (negative.f1 + positive.f1) / 2,
        "roc_auc": roc_auc(ranking),
        "majority_accuracy": max(negative.support, positive.support) / len(labels),
        "balanced_accuracy": (negative.recall + positive.recall) / 2,
        "precision": positive.precision,
        "recall": positive.recall,
        "f1": positive.f1,
        "average_precision": average_precision(ranking),
        "log_loss": log_loss(labels, probabilities),
        "brier": exact_mean(np.square(probabilities.astype(np.float64) - labels)),
        "expected_calibration_error": expected_calibration_error(labels, probabilities, bins),
    }
    for name, values_by_resample in resample(labels, predicted[None], probabilities[None], n_resamples, seed).items():
        values[f"{name}_low"], values[f"{name}_high"] = percentile_interval(values_by_resample[0])
    return {"rows": len(labels), **values}


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


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key that orders the whole numbers in names by value: "1-20 words" before "101-120 words"."""
    parts = re.split(r"([0-9]+)", name)  # numbers are at odd positions, so that like is compared with like
    digits = [part.lstrip("0") if index % 2 else part for index, part in enumerate(parts)]
    return [(len(part) if index % 2 else 0, part) for index, part in enumerate(digits)]
