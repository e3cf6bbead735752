"""Batches of token lists with little padding."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield groups of indices, longest texts first, so that group size times longest text is at most `budget`.

    Longest first: if memory does not suffice, it fails at once and not near the end. A text longer than the budget
    gets a group of its own.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    ordered = np.asarray(lengths)[order]
    start = 0
    while start < len(order):
        size = max(1, budget // max(1, int(ordered[start])))
        alike = int((ordered[start : start + size] == ordered[start]).sum())
        if alike >= size / 2:  # without padding, the encoder needs no mask
            size = alike
        yield order[start : start + size].tolist()
        start += size


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
