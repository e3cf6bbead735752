"""Hold labeled features, and standardize features by the mean and std of their columns, on a grid.

    x = standardize(features, *mean_and_std(train_features))  # once
    x = StandardizedFeatures(features, mean, std)[rows]       # over and over, as training does

Every operation is element-wise or a `tree_sum`, so the result has the same bits on every processor.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from sentiment.head.words import Tokens
from sentiment.numerics.arrays import tree_sum

Float32s = NDArray[np.float32]
Float64s = NDArray[np.float64]
ClassWeight = Literal["none", "balanced"]

MAX_CHUNK_ELEMENTS = 2**15  # rows x dim handled together: 256 KB as float64, which fit the cache
CACHE_CHUNKS = 8  # of `rows_per_chunk` that a product takes: some 500 rows, for which NumPy's calls cost little
ROWS_BY_FEATURE = 8  # that tell how features correlate; more do not save the solver a pass
MAX_CACHED_ELEMENTS = 2**27  # 256 MB as int16; features beyond that are standardized again whenever they are needed
MAX_ABS = 32 - 2.0**-10  # in stds; farther ones are clipped
# of a standardized feature, see `numerics.arrays`: steps per std, and its bits
STEPS, X_BITS = 2**10, 15  # where a head is trained: the number of steps is an int16
FINE_STEPS, FINE_BITS = 2**15, 20  # where it predicts, so that exports in float32 compute nearly the same


@dataclass(frozen=True)
class LabeledFeatures:
    """What a head is trained on.

    Attributes:
        features: shape (n_samples, dim), possibly memory-mapped.
        labels: 0 or 1, shape (n_samples,).
        tokens: of the texts, where their words count beside the features.
    """

    features: Float32s
    labels: Float64s
    tokens: Tokens | None = None

    def __getitem__(self, rows: NDArray[np.bool_]) -> Self:
        """Return the rows of a mask."""
        return replace(
            self, features=self.features[rows], labels=self.labels[rows], tokens=self.tokens and self.tokens[rows]
        )

    def joined(self, other: Self) -> Self:
        """Return the rows of both."""
        tokens = Tokens.joined([self.tokens, other.tokens]) if self.tokens and other.tokens else None
        return replace(
            self,
            features=np.concatenate([self.features, other.features]),
            labels=np.concatenate([self.labels, other.labels]),
            tokens=tokens,
        )


def class_costs(labels: Float64s, class_weight: ClassWeight) -> Float64s:
    """Return what an error in a negative and in a positive row weighs in the mean loss, shape (2,).

    "balanced" lets both classes weigh as much, as in scikit-learn: n_samples / (2 n_samples_of_class).

    Args:
        labels: of the train rows, shape (n_samples,).

    >>> class_costs(np.array([0.0, 1.0, 1.0, 1.0]), "balanced")
    array([2.        , 0.66666667])
    """
    n_positive = np.count_nonzero(labels)
    if class_weight == "none":
        return np.ones(2)
    return len(labels) / (2 * np.array([len(labels) - n_positive, n_positive]))


def mean_and_std(features: Float32s) -> tuple[Float32s, Float32s]:
    """Return mean and std by column, each of shape (dim,), computed in float64; a constant column has std 1.

    Args:
        features: shape (n_samples, dim), possibly memory-mapped; read twice, in chunks.
    """
    mean = sum(tree_sum(chunk.astype(np.float64)) for chunk in chunks(features)) / len(features)
    variance = sum(tree_sum(np.square(chunk - mean)) for chunk in chunks(features)) / len(features)
    std = np.sqrt(variance)
    std[std < 1e-6] = 1.0
    return np.asarray(mean, np.float32), std.astype(np.float32)


def standardize(features: Float32s, mean: Float32s, std: Float32s, steps: int = FINE_STEPS) -> Float32s:
    """Return (features - mean) / std, clipped to almost +-32 and rounded to multiples of 1 / steps.

    Args:
        features: shape (n_samples, dim).
        mean, std: shape (dim,).
        steps: `FINE_STEPS` or `STEPS`.
    """
    offset = np.float32(1.5 * 2**23 / steps)  # added and subtracted again, it rounds to whole steps
    x = np.subtract(features, mean, dtype=np.float32)
    x /= std
    np.maximum(np.minimum(x, MAX_ABS, out=x), -MAX_ABS, out=x)
    x += offset
    x -= offset
    return x


class StandardizedFeatures:
    """Rows of `standardize(..., STEPS)` as float64; where all fit into 256 MB, they are computed once."""

    def __init__(self, features: Float32s, mean: Float32s, std: Float32s) -> None:
        self.dim = features.shape[1]
        self._features, self._mean, self._std = features, mean, std
        self._steps = np.empty(features.shape, np.int16) if features.size <= MAX_CACHED_ELEMENTS else None
        if self._steps is not None:
            size = rows_per_chunk(len(mean))
            for number, chunk in enumerate(chunks(features)):
                self._steps[number * size : (number + 1) * size] = standardize(chunk, mean, std, STEPS) * STEPS

    @cached_property
    def mean_products(self) -> Float64s:
        """The mean of x.T @ x, with 1 as the last feature, over some of the rows. # (dim + 1, dim + 1)"""
        n = len(self._features)
        rows = np.arange(0, n, max(1, n // (ROWS_BY_FEATURE * self.dim)))
        total = np.zeros((self.dim + 1, self.dim + 1))
        size = CACHE_CHUNKS * rows_per_chunk(self.dim)
        for start in range(0, len(rows), size):
            x = self[rows[start : start + size]]
            x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
            total += x.T @ x  # exact: 2 * X_BITS bits for a product, and at least 2**23 of them in a sum
        return total / len(rows)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Float64s:
        """Return the rows of a slice or of an array of indices, shape (n_rows, dim)."""
        if self._steps is not None:
            x = self._steps[rows].astype(np.float64)
            x *= 1 / STEPS
            return x
        return standardize(self._features[rows], self._mean, self._std, STEPS).astype(np.float64)


def rows_per_chunk(dim: int) -> int:
    """Return how many rows of `dim` features to handle together."""
    return max(1, MAX_CHUNK_ELEMENTS // dim)


def chunks(features: Float32s) -> Iterator[Float32s]:
    """Yield `features`, shape (n_samples, dim), in chunks of rows that fit the cache."""
    size = rows_per_chunk(features.shape[1])
    return (features[start : start + size] for start in range(0, len(features), size))
