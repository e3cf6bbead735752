"""The lengths of tokenized texts in; batches of similar length, so with little padding, out."""

from collections.abc import Iterator, Sequence

import numpy as np


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
