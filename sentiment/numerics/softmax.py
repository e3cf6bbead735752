"""Softmax as integers: weights are rounded to a grid, so sums and products of weights are exact.

Kim et al., I-BERT: Integer-only BERT Quantization, 2021, https://arxiv.org/abs/2101.01321, for softmax by integers.
"""

import torch
from torch import Tensor

from sentiment.numerics.buffers import Buffers
from sentiment.numerics.elementwise import exp_, polynomial
from sentiment.numerics.sums import integer_sums

# exp(x / 16) for x in [-12, 0], weighted by what the 16th power makes of an error: exp within 6e-6
EXP_ROOT = (0.9999996423721313, 0.062494903802871704, 0.0019437947776168585, 3.609266423154622e-05)
EXP_SQUARINGS = 4
MIN_SCORE = -12.0  # its exp, of at most 2^15 levels, rounds to 0
MAX_LEVELS = 2**15


def softmax_integers_(scores: Tensor, levels: int, max_keys: int, bits: int, buffers: Buffers) -> Tensor:
    """Replace scores by round(levels * softmax(scores)); a row adds up to at most levels + n_keys / 2.

    exp of the difference to the row's maximum is rounded to a grid so fine that the sum of a row stays within 2^24.

    Args:
        scores: float32, the last dimension is one distribution; -1e30 for what takes no part: it becomes 0.
        levels: the integer that stands for 1.
        max_keys: the most keys that a row can have, in any batch.
        bits: 16 takes `exp_`, within 2 units in the last place; 8 a shorter polynomial, within 6e-6.
    """
    exp_levels = min(2**24 // max_keys, MAX_LEVELS)
    scores.sub_(scores.amax(-1, keepdim=True))
    if bits == 16:
        power = exp_(scores, buffers)
    else:
        power = polynomial(scores.clamp_(min=MIN_SCORE), EXP_ROOT, out=buffers.get("power", tuple(scores.shape)))
        for _ in range(EXP_SQUARINGS):
            power.mul_(power)
    totals = integer_sums(power.mul_(exp_levels).round_())
    return torch.mul(power, torch.full_like(totals, levels).div_(totals), out=scores).round_()
