"""Quantize floats to integers and a scale, by row for activations, by output channel for weights; sum in a fixed order.

Dettmers et al., LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale, 2022,
https://arxiv.org/abs/2208.07339. The integers are stored as float32, which holds them exactly. Only a maximum, a
division, a product, a square root and a rounding to the nearest integer (half to even) are used; each is the same to
the bit on every processor.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sentiment.numerics.memory import Buffers, row_blocks

# the largest integers: of 8 bits, of 12 bits as 16 * 127, and of 16 bits such that both bytes are in [-128, 127]
LEVELS = {8: 127.0, 12: 2_032.0, 16: 32_639.0}
MIN_MAX = 1e-30  # a row of zeros gets the scale of this maximum, or of this mean square
MAX_DIM_BY_NORM = 6_096
RMS_PER_LEVELS = 6.0  # `quantize_rows_by_norm` maps this multiple of the root mean square to 127


def sqrt(x: Tensor) -> Tensor:
    """Return the square root of each element of a contiguous float32 tensor, correctly rounded."""
    if x.device.type == "cpu":
        return torch.from_numpy(np.sqrt(x.numpy()))
    if _rounds_correctly(x.device):
        return torch.sqrt(x)
    return torch.from_numpy(np.sqrt(x.cpu().numpy())).to(x.device)


@cache
def _rounds_correctly(device: torch.device) -> bool:
    """Return whether the device's root of each float32 in [1, 4), all mantissas, equals NumPy's."""
    bits = np.arange(0x3F800000, 0x40800000, dtype=np.int32)
    values = bits.view(np.float32)
    roots = torch.sqrt(torch.from_numpy(values).to(device)).cpu().numpy()
    return bool(np.array_equal(roots, np.sqrt(values)))


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


def quantize_rows(bits: int, x: Tensor, buffers: Buffers) -> tuple[Tensor, Tensor]:
    """Return integers of shape (n_rows, dim) and scales of shape (n_rows, 1); integers * scale is about x.

    Args:
        bits: 8, 12 or 16.
        x: float32, shape (n_rows, dim).
        buffers: holds the integers until the next call.
    """
    integers, scales = buffers.get("quantized", tuple(x.shape)), torch.empty((len(x), 1), device=x.device)
    for rows in row_blocks(x):
        largest = largest_sizes(x[rows], 1).unsqueeze(1).clamp_(min=MIN_MAX)
        torch.mul(x[rows], torch.full_like(largest, LEVELS[bits]).div_(largest), out=integers[rows]).round_()
        scales[rows] = largest.mul_(1 / LEVELS[bits])
    return integers, scales


def largest_sizes(x: Tensor, dim: int) -> Tensor:
    """Return the largest absolute value along a dimension; `abs` would write them all."""
    return torch.maximum(x.amax(dim), x.amin(dim).neg_())


def quantize_rows_by_norm(x: Tensor, buffers: Buffers) -> tuple[Tensor, Tensor]:
    """Return integers and scales as `quantize_rows` does for 8 bits, the scale from the root mean square of the row.

    The few activations that are much larger than the others then do not decide the scale: their integers exceed 127,
    which `products.outlier_product` allows. By the Cauchy-Schwarz inequality the absolute integers of a row add
    up to at most dim * (127 / 6 + 1 / 2), so 127 times that is below 2^24 up to a dim of 6,096.
    """
    integers = buffers.get("quantized", tuple(x.shape))
    squares = row_sums(torch.mul(x, x, out=integers), buffers).mul(1 / x.shape[1])
    scale = sqrt(squares.clamp_(min=MIN_MAX)).mul_(RMS_PER_LEVELS / LEVELS[8])
    torch.mul(x, torch.ones_like(scale).div_(scale), out=integers).round_()
    return integers, scale


def outlier_capacity(dim: int) -> int:
    """Return how many of `dim` integers of `quantize_rows_by_norm` can exceed 127: they are six times the rms."""
    return dim // 36 + 1


def quantize_weight(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return integers of shape (n_outputs, n_inputs) and scales of shape (n_outputs,) of a linear layer's weight."""
    integers, scales = quantize_rows(bits, weight, Buffers(weight.device))
    return integers, scales.squeeze(1)
