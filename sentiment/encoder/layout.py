"""Token ids of a batch in; their layout out: packed into the rows of one matrix, and padded by text for attention."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Rows are rounded up to this: oneDNN prepares a product for each new number of rows, and CUDA wants at least 17.
ROW_MULTIPLE = 64
MASKED = -1e30  # added to the score of a key that is padding


class Layout:
    """The shape of a batch of texts.

    Attributes:
        ids: token ids of all texts, one after the other, then zeros up to a multiple of 64; shape (n_rows,).
        positions: the position of each token in its text, shape (n_rows,).
        n_texts, seq_len: of the padded form; seq_len is the longest text.
        counts: tokens of each text, float32, shape (n_texts, 1).
        key_mask: 0 for tokens and -1e30 for padding, shape (n_texts, 1, seq_len); None where nothing is padding.
        token_mask: 1 for tokens and 0 for padding, shape (n_texts, seq_len, 1); None where nothing is padding.
    """

    def __init__(self, token_ids: Sequence[Sequence[int]], device: torch.device) -> None:
        lengths = np.array([len(ids) for ids in token_ids])
        n_tokens = int(lengths.sum())
        self.n_texts, self.seq_len = len(lengths), int(lengths.max())
        filler = np.zeros(-n_tokens % ROW_MULTIPLE, dtype=np.int64)
        columns = np.arange(self.seq_len)
        is_token = columns < lengths[:, None]

        def on_device(array: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(array).to(device)

        ids = np.fromiter(chain.from_iterable(token_ids), dtype=np.int64, count=n_tokens)
        self.ids = on_device(np.concatenate([ids, filler]))
        self.positions = on_device(np.concatenate([np.broadcast_to(columns, is_token.shape)[is_token], filler]))
        self.counts = on_device(lengths.astype(np.float32)[:, None])
        self.key_mask = self.token_mask = self._to_padded = self._to_rows = None
        if n_tokens < is_token.size:
            starts = np.cumsum(lengths) - lengths
            # padding repeats the text's last token: it then changes no maximum
            self._to_padded = on_device((starts[:, None] + np.minimum(columns, lengths[:, None] - 1)).reshape(-1))
            self._to_rows = on_device(np.concatenate([np.flatnonzero(is_token), filler]))
            self.token_mask = on_device(is_token.astype(np.float32)[:, :, None])
            self.key_mask = on_device(np.where(is_token, 0, MASKED).astype(np.float32)[:, None])

    def pad(self, rows: Tensor, out: Tensor) -> Tensor:
        """Return a matrix of shape (n_rows, dim) by text, shape (n_texts * seq_len, dim); in `out` if it is a copy.

        Padding repeats the last token of its text.
        """
        if self._to_padded is None:
            return rows[: self.n_texts * self.seq_len]
        return torch.index_select(rows, 0, self._to_padded, out=out)

    def unpad(self, padded: Tensor, out: Tensor) -> Tensor:
        """Return the tokens of a padded matrix packed, without padding between texts, shape (n_rows, dim).

        Args:
            padded: shape (n, dim), n the larger of n_rows and n_texts * seq_len; rows after the texts are undefined.
            out: shape (n_rows, dim), for the result where it is a copy.
        """
        if self._to_rows is None:
            padded[self.n_texts * self.seq_len :].zero_()
            return padded
        return torch.index_select(padded, 0, self._to_rows, out=out)
