"""Symmetric quantization: floats to integers and a scale, by row for activations, by output channel for weights.

Dettmers et al., LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale, 2022,
https://arxiv.org/abs/2208.07339. The integers stand in float32, which holds them exactly. Only a maximum, a division, a
product and a rounding to the nearest integer (half to even) are used; each is the same to the bit on every processor.
"""

import torch
from torch import Tensor

from sentiment.numerics.buffers import Buffers

# the largest integers: of 8 bits, and of 16 bits such that both bytes lie in [-128, 127]
LEVELS = {8: 127.0, 16: 32_639.0}
MIN_MAX = 1e-30  # a row of zeros gets the scale of this maximum


def quantize_rows(x: Tensor, bits: int, buffers: Buffers) -> tuple[Tensor, Tensor]:
    """Return integers of shape (n_rows, dim) and scales of shape (n_rows, 1); integers * scale is about x.

    Args:
        x: float32, shape (n_rows, dim).
        bits: 8 or 16.
        buffers: holds the integers until the next call.
    """
    integers = buffers.get("quantized", tuple(x.shape))
    largest = torch.abs(x, out=integers).amax(1, keepdim=True).clamp_(min=MIN_MAX)
    torch.mul(x, torch.full_like(largest, LEVELS[bits]).div_(largest), out=integers).round_()
    return integers, largest.mul_(1 / LEVELS[bits])


def quantize_weight(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return integers of shape (n_outputs, n_inputs) and scales of shape (n_outputs,) of a linear layer's weight."""
    integers, scales = quantize_rows(weight, bits, Buffers(weight.device))
    return integers, scales.squeeze(1)
