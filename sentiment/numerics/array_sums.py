"""Sums of NumPy arrays with the same bits on every processor.

    from sentiment.numerics.array_sums import exact_mean, tree_sum

`np.sum` adds in an order that depends on the width of the processor's registers, and rounds after every addition.
"""

import math

import numpy as np
from numpy.typing import NDArray


def exact_sum(values: NDArray[np.floating]) -> float:
    """Return the exact sum of values of shape (n,), rounded once; the order does not matter.

    `math.fsum`: Shewchuk, Adaptive Precision Floating-Point Arithmetic, 1997.
    """
    return math.fsum(values.tolist())


def exact_mean(values: NDArray[np.floating]) -> float:
    """Return the mean of values of shape (n,): the exact sum, rounded, divided by n."""
    return exact_sum(values) / len(values)


def tree_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over the first axis, of shape (...) for values of shape (n, ...), n >= 1.

    The second half is added to the first, then the second half of the sums to their first, until one row is left:
    every addition is an element-wise operation of its own, and their order depends on n alone. The error is at most
    ceil(log2(n)) roundings of the sum of absolute values (Higham, The Accuracy of Floating Point Summation, 1993).
    """
    n = len(values)
    sums = values[: n - n // 2].copy()
    sums[: n // 2] += values[n - n // 2 :]
    n = len(sums)
    while n > 1:
        half = n // 2
        sums[:half] += sums[n - half : n]
        n -= half
    return np.asarray(sums[0])
