"""From the vectors of a text's tokens to one vector, by maxima and sums in a fixed order."""

import torch
from torch import Tensor

from sentiment.encoder.layout import Layout
from sentiment.numerics.buffers import Buffers
from sentiment.numerics.sums import adjacent_sums


def pool(hidden: Tensor, layout: Layout, pooling: str, buffers: Buffers) -> Tensor:
    """Return one vector a text, float32, shape (n_texts, dim), for "mean+max" (n_texts, 2 * dim).

    Args:
        hidden: the last hidden state, shape (n_rows, dim), without negative zeros.
        pooling: "cls" (the first token), "mean", "max", or "mean+max" (both, side by side).
    """
    shape = (layout.n_texts * layout.seq_len, hidden.shape[1])
    padded = layout.pad(hidden, buffers.get("pooled", shape)).view(layout.n_texts, layout.seq_len, -1)
    if pooling == "cls":
        return padded[:, 0].clone()
    pooled = [padded.amax(1)] if "max" in pooling else []  # padding repeats a token
    if "mean" in pooling:
        summands = padded if layout.token_mask is None else padded * layout.token_mask
        pooled.insert(0, adjacent_sums(summands) / layout.counts)
    return torch.cat(pooled, dim=1)
