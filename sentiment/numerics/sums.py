"""Sums of floats in a fixed order, so that every processor rounds the same partial sums.

Floating-point addition is not associative, and a library's `sum` adds in an order that depends on the vector width of
the processor and on the number of threads. Here every addition is an elementwise one of whole slices, which IEEE 754
defines to the bit. Error bound of a sum by a tree of depth d: |error| <= d * 2^-24 * sum(|x|) to first order (Higham,
Accuracy and Stability of Numerical Algorithms, section 4.2).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sentiment.numerics.buffers import Buffers


class Tree(NamedTuple):
    """Views of the memory in which `row_sums` adds.

    Attributes:
        leaves: where the halves of the rows are added, shape (n_rows, dim // 2).
        middle: where the middle column of an odd number goes, shape (n_rows, 1); None where there is none.
        levels: pairs of which the second is added to the first.
        total: the last column left, shape (n_rows, 1).
    """

    leaves: Tensor
    middle: Tensor | None
    levels: Sequence[tuple[Tensor, Tensor]]
    total: Tensor


def row_sums(x: Tensor, buffers: Buffers) -> Tensor:
    """Return the sum of each row, shape (n_rows, 1): the second half is added to the first until one column is left.

    Args:
        x: shape (n_rows, dim); unchanged.
        buffers: hold the result until the next call.
    """
    n_rows, dim = x.shape
    tree = buffers.views("row_sums", (n_rows, (dim + 1) // 2), even_tree if dim % 2 == 0 else odd_tree, x.dtype)
    half = dim // 2
    torch.add(x[:, :half], x[:, dim - half :], out=tree.leaves)
    if tree.middle is not None:
        tree.middle.copy_(x[:, half : half + 1])
    for left, right in tree.levels:
        left.add_(right)
    return tree.total


def even_tree(scratch: Tensor) -> Tree:
    """Return the views for rows of an even number of columns, in memory of half as many."""
    size = scratch.shape[1]
    levels = []
    while size > 1:
        half = (size + 1) // 2
        levels.append((scratch[:, : size - half], scratch[:, half:size]))
        size = half
    return Tree(scratch, None, levels, scratch[:, :1])


def odd_tree(scratch: Tensor) -> Tree:
    """Return the views for rows of an odd number of columns, in memory of the larger half."""
    return even_tree(scratch)._replace(leaves=scratch[:, :-1], middle=scratch[:, -1:])


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
