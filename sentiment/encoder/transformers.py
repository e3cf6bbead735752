"""Any encoder of transformers: texts of a batch padded to the longest, with a mask."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sentiment.encoder.pooling import pool


class TransformersEncoder:
    """A frozen encoder of transformers, in evaluation mode and without gradients."""

    def __init__(self, module: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.module = module.train(False).requires_grad_(False).to(device, dtype)
        self.device = device
        self._pad = getattr(module.config, "pad_token_id", None) or 0

    def encode(self, token_ids: Sequence[Sequence[int]], pooling: str) -> Tensor:
        """Return a vector a text, float32, shape (texts, dim)."""
        ids, mask = (
            None if array is None else torch.from_numpy(array).to(self.device) for array in padded(token_ids, self._pad)
        )
        return pool(self.module(input_ids=ids, attention_mask=mask).last_hidden_state, mask, pooling)

    def token_vectors(self, token_ids: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return the last hidden state of each text, float32, shape (n_tokens, hidden_size)."""
        return [
            self.module(input_ids=torch.tensor([list(ids)], device=self.device)).last_hidden_state[0].float()
            for ids in token_ids
        ]


def padded(token_ids: Sequence[Sequence[int]], pad: int) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return ids and attention mask (1 is a token, 0 padding), both of shape (texts, longest text).

    The mask is None where all texts are equally long.
    """
    lengths = np.array([len(ids) for ids in token_ids])
    if lengths.min() == lengths.max():
        return np.array(token_ids, dtype=np.int64), None
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad, dtype=np.int64)
    ids[mask] = np.concatenate(token_ids)
    return ids, mask.astype(np.int64)
