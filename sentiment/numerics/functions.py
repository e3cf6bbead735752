"""Compute exp, GELU, softmax and layer norm from elementwise IEEE operations and fixed sums.

A library's exp, erf and tanh come from code that differs between processors and versions. Here each step is a torch
operation of its own, so no compiler can contract a product and a sum into one fused operation, and each step rounds
the same everywhere. The coefficients are minimax fits in float64 (iteratively reweighted least squares, Lawson 1961),
rounded to float32.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sentiment.numerics.memory import Buffers, row_blocks
from sentiment.numerics.quantization import integer_sums, row_sums, sqrt

Gelu = Literal["erf", "tanh"]

# (1 - Phi(a))^(1/32) for a in [0, 5.8], Phi the normal distribution; weighted by a * (1 - Phi(a)): 1.1e-7
GELU_ERF = (
    0.9785721898078918, -0.02440195344388485, -0.009417979046702385, -0.0008972006617113948, 0.0002497466339264065,
    -1.3068582120467909e-05,
)  # fmt: skip
MAX_ERF = 5.8
# exp(-2u / 16) for a in [0, 5.5], u = sqrt(2 / pi) * (a + 0.044715 a^3); weighted likewise: 5.0e-7
GELU_TANH = (
    1.0000009536743164, -0.09973309934139252, 0.004937958437949419, -0.004538977053016424, 0.0003604093217290938,
    2.225564639957156e-05,
)  # fmt: skip
MAX_TANH = 5.5

LOG2_E = 1.4426950216293335  # the float32 nearest to 1 / ln 2
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194442749023438e-04  # Cody and Waite: products with up to 9 bits are exact
EXP_MIN, EXP_MAX = -87.0, 88.0  # exp is a normal float32 between them
# exp(r) = 1 + r + r^2 * P(r) for |r| <= ln(2) / 2
EXP_TAIL = (0.5, 0.1666666716337204, 0.04166661947965622, 0.008333196863532066, 0.0013935687020421028,
            0.00019894911383744329)  # fmt: skip
# exp(x / 16) for x in [-12, 0], weighted by what the 16th power makes of an error: exp within 6e-6
EXP_ROOT = (0.9999996423721313, 0.062494903802871704, 0.0019437947776168585, 3.609266423154622e-05)
EXP_SQUARINGS = 4
MIN_SCORE = -12.0  # its exp, of at most 2^15 levels, rounds to 0
MAX_LEVELS = 2**15


def polynomial(x: Tensor, coefficients: Sequence[float], out: Tensor) -> Tensor:
    """Return the polynomial of x, constant term first, by Horner's rule, in `out`."""
    *rest, before, last = coefficients
    torch.mul(x, last, out=out).add_(before)
    for coefficient in reversed(rest):
        out.mul_(x).add_(coefficient)
    return out


def scale_into(out: Tensor, x: Tensor, scale: Tensor) -> None:
    """Write x * scale in `out`, float32, rounded from the type of x, which may lose its values."""
    if x.dtype == out.dtype:
        torch.mul(x, scale, out=out)
    else:  # a product whose `out` has another type takes fresh memory on the way
        out.copy_(x.mul_(scale))


def gelu_(x: Tensor, kind: Gelu, buffers: Buffers) -> Tensor:
    """Replace x by GELU(x), within 1e-6 for |x| <= 16; "tanh" is the approximation that BERT's successors use.

    GELU(x) = max(x, 0) - |x| * tail(|x|), where the tail, 1 - Phi(|x|), is a power of a polynomial. Hendrycks and
    Gimpel, Gaussian Error Linear Units, 2016, https://arxiv.org/abs/1606.08415; a power of a polynomial for the tail:
    Abramowitz and Stegun, 7.1.28.

    Args:
        x: shape (n_rows, dim).
        buffers: hold what is computed on the way.
    """
    for rows in row_blocks(x):
        block = x[rows]
        shape = tuple(block.shape)
        size, tail = buffers.get("gelu_size", shape), buffers.get("gelu_tail", shape)
        torch.abs(block, out=size).clamp_(max=MAX_ERF if kind == "erf" else MAX_TANH)
        polynomial(size, GELU_ERF if kind == "erf" else GELU_TANH, out=tail)
        for _ in range(5 if kind == "erf" else 4):
            tail.mul_(tail)
        if kind == "erf":
            size.mul_(tail)
        else:
            size.mul_(tail).div_(tail.add_(1.0))  # e / (1 + e) is the tail, for e = exp(-2u)
        block.clamp_(min=0.0).sub_(size)
    return x


def exp_(x: Tensor, buffers: Buffers) -> Tensor:
    """Replace x by exp(x), within 2 units in the last place between -87 and 88; x is clamped to that range.

    exp(x) = 2^n * exp(r) with n = round(x / ln 2) and r = x - n * ln 2, ln 2 in two pieces (Cody and Waite, Software
    Manual for the Elementary Functions, 1980); 2^n is made from its bits.
    """
    shape = tuple(x.shape)
    n, term = buffers.get("exp_n", shape), buffers.get("exp_term", shape)
    torch.mul(x.clamp_(EXP_MIN, EXP_MAX), LOG2_E, out=n).round_()
    x.sub_(torch.mul(n, LN2_HIGH, out=term)).sub_(torch.mul(n, LN2_LOW, out=term))
    polynomial(x, EXP_TAIL, out=term).mul_(x).mul_(x)
    x.add_(term).add_(1.0)
    bits = term.view(torch.int32).copy_(n).add_(127).mul_(1 << 23)
    return x.mul_(bits.view(torch.float32))


def exp_levels(max_keys: int) -> int:
    """Return the integer that stands for exp(0) in a softmax; a row of `max_keys` of them sums to at most 2^24."""
    return min(2**24 // max_keys, MAX_LEVELS)


def softmax_integers_(scores: Tensor, levels: int, max_keys: int, bits: int, buffers: Buffers) -> Tensor:
    """Replace scores by round(levels * softmax(scores)); a row adds up to at most levels + n_keys / 2.

    exp of the difference to the row's maximum is rounded to a grid so fine that the sum of a row stays within 2^24.

    Args:
        scores: float32, the last dimension is one distribution; -inf for what takes no part: it becomes 0.
        levels: the integer that stands for 1.
        max_keys: the most keys that a row can have, in any batch.
        bits: 16 takes `exp_`, within 2 units in the last place; 8 a shorter polynomial, within 6e-6.
    """
    scores.sub_(scores.amax(-1, keepdim=True))
    if bits == 16:
        power = exp_(scores, buffers)
    else:
        power = polynomial(scores.clamp_(min=MIN_SCORE), EXP_ROOT, out=buffers.get("power", tuple(scores.shape)))
        for _ in range(EXP_SQUARINGS):
            power.mul_(power)
    totals = integer_sums(power.mul_(exp_levels(max_keys)).round_())
    return torch.mul(power, torch.full_like(totals, levels).div_(totals), out=scores).round_()


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
