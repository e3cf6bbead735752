"""Softmax as integers: each weight is a rounded multiple of the largest, so sums and products of weights are exact.

Kim et al., I-BERT: Integer-only BERT Quantization, 2021, https://arxiv.org/abs/2101.01321, for softmax by integers.
"""

from torch import Tensor

from sentiment.numerics.buffers import Buffers
from sentiment.numerics.elementwise import exp_, polynomial

# exp(x / 16) for x in [-8, 0], weighted by what the 16th power makes of an error: exp within 6e-6
EXP_ROOT = (0.9999996423721313, 0.062494903802871704, 0.0019437947776168585, 3.609266423154622e-05)
EXP_SQUARINGS = 4
MIN_SCORE = -8.0  # exp(-8) of 255 levels rounds to 0


def softmax_integers_(scores: Tensor, levels: int, bits: int, buffers: Buffers) -> Tensor:
    """Replace scores by round(levels * exp(score - largest of the row)); divided by their sum they are the softmax.

    Args:
        scores: float32, the last dimension is one distribution; -1e30 for what takes no part: it becomes 0.
        levels: the integer of the largest score.
        bits: 16 takes `exp_`, within 2 units in the last place; 8 a shorter polynomial, within 6e-6.
    """
    scores.sub_(scores.amax(-1, keepdim=True))
    if bits == 16:
        return exp_(scores, buffers).mul_(levels).round_()
    scores.clamp_(min=MIN_SCORE)
    power = polynomial(scores, EXP_ROOT, out=buffers.get("power", tuple(scores.shape)))
    for _ in range(EXP_SQUARINGS):
        power.mul_(power)
    return scores.copy_(power.mul_(levels).round_())
