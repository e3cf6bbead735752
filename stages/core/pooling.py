"""From the vectors of a text's tokens to one vector of the text."""

import torch
from torch import Tensor


def pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Pool token vectors of shape (texts, tokens, width); padding (mask 0) has no part in it.

    Args:
        hidden: the encoder's last hidden state.
        mask: shape (texts, tokens), 1 for a token.
        pooling: "cls" (the first token), "mean", "max", or "mean+max" (both, side by side).

    Returns:
        float32, shape (texts, width), for "mean+max" (texts, 2 * width).
    """
    hidden = hidden.float()
    if pooling == "cls":
        return hidden[:, 0]
    keep = mask.unsqueeze(-1).bool()
    pooled = []
    if "mean" in pooling:
        pooled.append((hidden * keep).sum(1) / mask.sum(1, keepdim=True))
    if "max" in pooling:
        pooled.append(hidden.masked_fill(~keep, -torch.inf).amax(1))
    return torch.cat(pooled, dim=1)
