"""Layer norm from fixed sums and elementwise operations.

Ba, Kiros and Hinton, Layer Normalization, 2016, https://arxiv.org/abs/1607.06450.
"""

import torch
from torch import Tensor

from sentiment.numerics.buffers import Buffers
from sentiment.numerics.square_root import sqrt
from sentiment.numerics.sums import row_sums


def layer_norm_(x: Tensor, weight: Tensor, bias: Tensor, eps: float, buffers: Buffers) -> Tensor:
    """Replace each row of x, shape (n_rows, dim), by (row - mean) / sqrt(variance + eps) * weight + bias.

    Args:
        weight, bias: shape (dim,); where the bias holds no negative zero, neither does the result.
        eps: added to the variance, which divides by dim as in torch.
    """
    n_rows, dim = x.shape
    x.sub_(row_sums(x, buffers).mul(1 / dim))
    variance = row_sums(torch.mul(x, x, out=buffers.get("squares", (n_rows, dim))), buffers).mul(1 / dim).add_(eps)
    root = sqrt(variance)
    return x.mul_(torch.ones_like(root).div_(root)).mul_(weight).add_(bias)
