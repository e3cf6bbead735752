"""Bootstrap of accuracy, F1 and ROC AUC, for one classifier or for several on the same reviews.

Percentile intervals of resampled reviews (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
Classifiers are resampled together, so that the difference between two of them is a paired one.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

METRICS = ("accuracy", "f1_macro", "roc_auc")
MAX_ROWS_IN_MEMORY = 2_000_000  # resampled reviews held at once


def resample(
    labels: NDArray[np.int8],
    predicted: NDArray[np.int8],
    probabilities: NDArray[np.float32],
    n_resamples: int,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Return each of `METRICS` on every resample, shape (n_classifiers, n_resamples).

    Args:
        labels: 0 or 1, shape (n_samples,).
        predicted: 0 or 1, shape (n_classifiers, n_samples).
        probabilities: of label 1, shape (n_classifiers, n_samples).
    """
    results = {name: np.empty((len(predicted), n_resamples)) for name in METRICS}
    start = 0
    for weights in _resample_weights(len(labels), n_resamples, np.random.default_rng(seed)):
        chunk = slice(start, start + len(weights))
        start += len(weights)
        for row, predictions in enumerate(zip(predicted, probabilities, strict=True)):
            for name, values in weighted_metrics(weights, labels, *predictions).items():
                results[name][row, chunk] = values
    return results


def weighted_metrics(
    weights: NDArray[np.float32], labels: NDArray[np.int8], predicted: NDArray[np.int8], scores: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """Return each of `METRICS`, shape (n_resamples,), for `weights` of shape (n_resamples, n_samples)."""
    accuracy, f1_macro = accuracy_and_f1(weights, labels, predicted)
    return {"accuracy": accuracy, "f1_macro": f1_macro, "roc_auc": roc_auc(weights, labels, scores)}


def percentile_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the middle 95% of the resamples; those where a metric is undefined are left out."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def _resample_weights(rows: int, n_resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Yield how often each review stands in a resample, shape (some resamples, n_samples)."""
    at_once = max(1, MAX_ROWS_IN_MEMORY // rows)
    for start in range(0, n_resamples, at_once):
        size = min(at_once, n_resamples - start)
        indices = rng.integers(0, rows, (size, rows), dtype=np.int32)
        indices += np.arange(size, dtype=np.int32)[:, None] * rows
        yield np.bincount(indices.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float32)


def accuracy_and_f1(
    weights: NDArray[np.float32], labels: NDArray[np.int8], predicted: NDArray[np.int8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return accuracy and macro F1 of weighted reviews; `weights` has shape (n_resamples, n_samples)."""
    cells = np.zeros((len(labels), 4), dtype=np.float32)
    cells[np.arange(len(labels)), 2 * labels + predicted] = 1
    tn, fp, fn, tp = (weights @ cells).astype(np.float64).T
    accuracy = (tn + tp) / (tn + fp + fn + tp)
    f1_positive, f1_negative = (2 * hit / np.maximum(2 * hit + fp + fn, 1) for hit in (tp, tn))
    return accuracy, (f1_positive + f1_negative) / 2


def roc_auc(weights: NDArray[np.float32], labels: NDArray[np.int8], scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the area under the ROC curve of weighted reviews: how often a positive one scores higher, ties half.

    The Mann-Whitney form (Hanley and McNeil, 1982); NaN for a resample of one class. Shape of `weights`:
    (n_resamples, n_samples).
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # of each run of equal scores
    sorted_weights = weights[:, order]
    positive = sorted_weights * labels[order]
    negative = sorted_weights - positive
    if len(starts) < len(scores):
        positive, negative = (np.add.reduceat(part, starts, axis=1) for part in (positive, negative))
    below = np.cumsum(negative, axis=1) - negative / 2
    wins = np.einsum("ij,ij->i", positive, below, dtype=np.float64)
    pairs = positive.sum(1, dtype=np.float64) * negative.sum(1, dtype=np.float64)
    area: NDArray[np.float64] = np.divide(wins, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return area
