"""An encoder with a linear head: token ids in, one logit per target out."""

from typing import Any

import torch
from torch import Tensor, nn

from sentiment.encoder.pooling import pool


class EncoderWithHead(nn.Module):
    """transformers' encoder, pooling, dropout, and a linear layer.

    Attributes:
        encoder: transformers' model.
        head: the linear layer, of as many outputs as there are targets.
    """

    def __init__(self, encoder: Any, pooling: str, n_targets: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        dim = encoder.config.hidden_size * (2 if pooling == "mean+max" else 1)
        self.head = nn.Linear(dim, n_targets)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return logits of shape (n_texts, n_targets) for ids and mask of shape (n_texts, n_tokens)."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = pool(hidden, mask, self.pooling)
        with torch.autocast(pooled.device.type, enabled=False):
            logits: Tensor = self.head(self.dropout(pooled))
        return logits
