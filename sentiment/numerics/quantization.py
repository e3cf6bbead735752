"""Symmetric quantization: floats to integers and a scale, by row for activations, by output channel for weights.

Dettmers et al., LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale, 2022,
https://arxiv.org/abs/2208.07339. The integers are stored as float32, which holds them exactly. Only a maximum, a
division, a product and a rounding to the nearest integer (half to even) are used; each is the same to the bit on every
processor.
"""

import torch
from torch import Tensor

from sentiment.numerics.blocks import row_blocks
from sentiment.numerics.buffers import Buffers
from sentiment.numerics.square_root import sqrt
from sentiment.numerics.sums import row_sums

# the largest integers: of 8 bits, of 12 bits as 16 * 127, and of 16 bits such that both bytes are in [-128, 127]
LEVELS = {8: 127.0, 12: 2_032.0, 16: 32_639.0}
MIN_MAX = 1e-30  # a row of zeros gets the scale of this maximum, or of this mean square
MAX_DIM_BY_NORM = 6_096
RMS_PER_LEVELS = 6.0  # `quantize_rows_by_norm` maps this multiple of the root mean square to 127


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
    which `integer_product.OutlierProduct` allows. By the Cauchy-Schwarz inequality the absolute integers of a row add
    up to at most dim * (127 / 6 + 1 / 2), so 127 times that is below 2^24 up to a dim of 6,096.
    """
    integers = buffers.get("quantized", tuple(x.shape))
    squares = row_sums(torch.mul(x, x, out=integers), buffers).mul(1 / x.shape[1])
    scale = sqrt(squares.clamp_(min=MIN_MAX)).mul_(RMS_PER_LEVELS / LEVELS[8])
    torch.mul(x, torch.ones_like(scale).div_(scale), out=integers).round_()
    return integers, scale


def quantize_weight(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return integers of shape (n_outputs, n_inputs) and scales of shape (n_outputs,) of a linear layer's weight."""
    integers, scales = quantize_rows(bits, weight, Buffers(weight.device))
    return integers, scales.squeeze(1)
