"""Bootstrap of accuracy, F1 and ROC AUC, for one classifier or for several on the same reviews.

Percentile intervals of resampled reviews (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
Classifiers are resampled together, so that the difference between two of them is a paired one.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

METRICS = ("accuracy", "f1_macro", "roc_auc")
CELLS = 2_000_000  # resampled reviews held at once


def resample(
    labels: NDArray[np.int8],
    predicted: NDArray[np.int8],
    probabilities: NDArray[np.float32],
    draws: int,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Return each of `METRICS` on every draw, shape (classifiers, draws).

    Args:
        labels: 0 or 1, shape (rows,).
        predicted: 0 or 1, shape (classifiers, rows).
        probabilities: of label 1, shape (classifiers, rows).
    """
    results = {name: np.empty((len(predicted), draws)) for name in METRICS}
    start = 0
    for counts in _draw_counts(len(labels), draws, np.random.default_rng(seed)):
        chunk = slice(start, start + len(counts))
        start += len(counts)
        for row, answers in enumerate(zip(predicted, probabilities, strict=True)):
            for name, values in weighted_metrics(counts, labels, *answers).items():
                results[name][row, chunk] = values
    return results


def weighted_metrics(
    counts: NDArray[np.float32], labels: NDArray[np.int8], predicted: NDArray[np.int8], scores: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """Return each of `METRICS`, shape (draws,), of reviews weighted by `counts`, shape (draws, rows)."""
    accuracy, f1_macro = accuracy_and_f1(counts, labels, predicted)
    return {"accuracy": accuracy, "f1_macro": f1_macro, "roc_auc": roc_auc(counts, labels, scores)}


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the middle 95 % of the draws; those where a metric is undefined are left out."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def _draw_counts(rows: int, draws: int, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Yield how often each review stands in a resample, shape (some draws, rows)."""
    at_once = max(1, CELLS // rows)
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        places = rng.integers(0, rows, (size, rows), dtype=np.int32)
        places += np.arange(size, dtype=np.int32)[:, None] * rows
        yield np.bincount(places.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float32)


def accuracy_and_f1(
    counts: NDArray[np.float32], labels: NDArray[np.int8], predicted: NDArray[np.int8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return accuracy and macro F1 of weighted reviews; `counts` has shape (draws, rows)."""
    cells = np.zeros((len(labels), 4), dtype=np.float32)
    cells[np.arange(len(labels)), 2 * labels + predicted] = 1
    tn, fp, fn, tp = (counts @ cells).astype(np.float64).T
    accuracy = (tn + tp) / (tn + fp + fn + tp)
    f1_positive, f1_negative = (2 * hit / np.maximum(2 * hit + fp + fn, 1) for hit in (tp, tn))
    return accuracy, (f1_positive + f1_negative) / 2


def roc_auc(counts: NDArray[np.float32], labels: NDArray[np.int8], scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the area under the ROC curve of weighted reviews: how often a positive one scores higher, ties half.

    The Mann-Whitney form (Hanley and McNeil, 1982); NaN for a draw of one class. `counts` has shape (draws, rows).
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # of each run of equal scores
    sorted_counts = counts[:, order]
    positive = sorted_counts * labels[order]
    negative = sorted_counts - positive
    if len(starts) < len(scores):
        positive, negative = (np.add.reduceat(part, starts, axis=1) for part in (positive, negative))
    below = np.cumsum(negative, axis=1) - negative / 2
    wins = np.einsum("ij,ij->i", positive, below, dtype=np.float64)
    pairs = positive.sum(1, dtype=np.float64) * negative.sum(1, dtype=np.float64)
    area: NDArray[np.float64] = np.divide(wins, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)
    return area
