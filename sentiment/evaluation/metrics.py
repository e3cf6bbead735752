"""How good predicted probabilities are: metrics with intervals, and accuracy by slice."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn import metrics

from sentiment.evaluation.bootstrap import percentile_interval, resample

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
    values = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "f1_macro": metrics.f1_score(labels, predicted, average="macro"),
        "roc_auc": metrics.roc_auc_score(labels, probabilities),
        "majority_accuracy": max(labels.mean(), 1 - labels.mean()),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "precision": metrics.precision_score(labels, predicted, zero_division=0),
        "recall": metrics.recall_score(labels, predicted),
        "f1": metrics.f1_score(labels, predicted),
        "average_precision": metrics.average_precision_score(labels, probabilities),
        "log_loss": metrics.log_loss(labels, probabilities.astype(np.float64)),
        "brier": metrics.brier_score_loss(labels, probabilities),
        "expected_calibration_error": expected_calibration_error(labels, probabilities, bins),
    }
    for name, values_by_resample in resample(labels, predicted[None], probabilities[None], n_resamples, seed).items():
        values[f"{name}_low"], values[f"{name}_high"] = percentile_interval(values_by_resample[0])
    return {"rows": len(labels), **{name: float(value) for name, value in values.items()}}


def calibration_curve(labels: Labels, probabilities: Probabilities, bins: int) -> Iterator[dict[str, float]]:
    """Yield mean probability, share of positive reviews and rows of each non-empty bin of equal width."""
    bin_ids = np.minimum((probabilities * bins).astype(int), bins - 1)
    for bin_id in np.unique(bin_ids):
        selected = bin_ids == bin_id
        yield {
            "predicted": float(probabilities[selected].mean(dtype=np.float64)),
            "observed": float(labels[selected].mean()),
            "rows": int(selected.sum()),
        }


def expected_calibration_error(labels: Labels, probabilities: Probabilities, bins: int) -> float:
    """Mean gap between probability and share of positive reviews over bins, weighted by rows.

    Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015.
    """
    gaps = [
        abs(bin_["predicted"] - bin_["observed"]) * bin_["rows"]
        for bin_ in calibration_curve(labels, probabilities, bins)
    ]
    return sum(gaps) / len(labels)


def accuracy_by_slice(
    correct: NDArray[np.bool_], slices: Mapping[str, NDArray[np.object_]]
) -> Iterator[dict[str, object]]:
    """Yield rows, accuracy and its 95% Wilson interval for every value of every slice.

    Args:
        correct: whether each prediction is correct, shape (n_samples,).
        slices: by name, the value of each row, shape (n_samples,).
    """
    for name, row_values in slices.items():
        values, indices = np.unique(row_values.astype(str), return_inverse=True)
        for index, value in enumerate(values):
            selected = correct[indices == index]
            bounds = binomtest(int(selected.sum()), len(selected)).proportion_ci(method="wilson")
            yield {
                "slice": name,
                "value": value,
                "rows": len(selected),
                "accuracy": float(selected.mean()),
                "accuracy_low": float(bounds.low),
                "accuracy_high": float(bounds.high),
            }
