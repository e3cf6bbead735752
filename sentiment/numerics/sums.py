"""Sums of floats in a fixed order, so that every processor rounds the same partial sums.

Floating-point addition is not associative, and a library's `sum` adds in an order that depends on the vector width of
the processor and on the number of threads. Here every addition is an elementwise one of whole slices, which IEEE 754
defines to the bit. Error bound of a sum by a tree of depth d: |error| <= d * 2^-24 * sum(|x|) to first order (Higham,
Accuracy and Stability of Numerical Algorithms, section 4.2).
"""

import torch
from torch import Tensor


def row_sums(x: Tensor, scratch: Tensor) -> Tensor:
    """Return the sum of each row, shape (n_rows, 1): the second half is added to the first until one column is left.

    Args:
        x: shape (n_rows, dim); unchanged.
        scratch: memory of the same dtype, shape (n_rows, (dim + 1) // 2) or more columns; the result is a view of it.
    """
    size = x.shape[1]
    if size == 1:
        return scratch[:, :1].copy_(x)
    half = (size + 1) // 2
    scratch[:, size - half : half].copy_(x[:, size - half : half])  # the middle column of an odd number
    torch.add(x[:, : size - half], x[:, half:], out=scratch[:, : size - half])
    size = half
    while size > 1:
        half = (size + 1) // 2
        scratch[:, : size - half].add_(scratch[:, half:size])
        size = half
    return scratch[:, :1]


def adjacent_sums(x: Tensor) -> Tensor:
    """Return the sum over dimension 1, shape (n, dim): adjacent pairs are added until one row is left.

    Zeros behind the last row change nothing, so texts of different lengths can be summed in one padded tensor. The
    result never is a negative zero.

    Args:
        x: shape (n, length, dim).
    """
    while x.shape[1] > 1:
        pairs = x.shape[1] // 2
        added = x[:, 0 : 2 * pairs : 2] + x[:, 1 : 2 * pairs : 2]
        x = torch.cat([added, x[:, 2 * pairs :]], dim=1) if x.shape[1] % 2 else added
    return x[:, 0] + 0.0


def integer_sums(x: Tensor) -> Tensor:
    """Return the sum over the last dimension, kept as 1, of floats that hold integers.

    The caller guarantees that the absolute values of a row add up to at most 2^24 (2^53 for float64). Then every
    partial sum is an integer that the type holds, no addition rounds, and the order does not matter.
    """
    return x.sum(-1, keepdim=True)
