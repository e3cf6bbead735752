"""Pool the vectors of a text's tokens into one vector of the text."""

import torch
from torch import Tensor


def pool(hidden: Tensor, mask: Tensor | None, pooling: str) -> Tensor:
    """Pool token vectors of shape (texts, tokens, dim); padding (mask 0) has no part in it.

    Args:
        hidden: the encoder's last hidden state.
        mask: shape (texts, tokens), 1 for a token; None where nothing is padding.
        pooling: "cls" (the first token), "mean", "max", or "mean+max" (both, side by side).

    Returns:
        float32, shape (texts, dim), for "mean+max" (texts, 2 * dim).
    """
    hidden = hidden.float()
    if pooling == "cls":
        return hidden[:, 0]
    pooled = []
    if "mean" in pooling:
        pooled.append(hidden.mean(1) if mask is None else masked_mean(hidden, mask))
    if "max" in pooling:
        pooled.append((hidden if mask is None else hidden.masked_fill(~mask.unsqueeze(-1).bool(), -torch.inf)).amax(1))
    return torch.cat(pooled, dim=1)


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over tokens, shape (texts, dim), as one product with the mask."""
    return torch.bmm(mask.to(hidden.dtype).unsqueeze(1), hidden).squeeze(1) / mask.sum(1, keepdim=True)
