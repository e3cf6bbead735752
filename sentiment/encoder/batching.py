"""The lengths of tokenized texts in; batches of similar length, so with little padding, out."""

from collections.abc import Iterator, Sequence

import numpy as np

MIN_TOKENS = 1_024  # of a batch near the end: smaller ones cost more in starting operations than idle workers do


def token_batches(lengths: Sequence[int], budget: int, n_workers: int = 1) -> Iterator[list[int]]:
    """Yield groups of indices, longest texts first, so that group size times longest text is at most `budget`.

    Longest first: if memory does not suffice, it fails at once and not near the end. A text longer than the budget
    gets a group of its own.

    Args:
        lengths: tokens of each text.
        budget: the most tokens of a group, padding included.
        n_workers: how many groups are computed at one time. Several get smaller groups near the end, half of their
            share of what is left, so that they end at about the same time (Polychronopoulos and Kuck, Guided
            Self-Scheduling, 1987).
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    ordered = np.asarray(lengths)[order]
    n_left = ordered[::-1].cumsum()[::-1]  # tokens of the texts from here to the end
    start = 0
    while start < len(order):
        share = int(n_left[start]) // (2 * n_workers) if n_workers > 1 else budget
        size = max(1, min(budget, max(share, MIN_TOKENS)) // max(1, int(ordered[start])))
        alike = int((ordered[start : start + size] == ordered[start]).sum())
        if alike >= size / 2:  # without padding, the encoder needs no mask
            size = alike
        yield order[start : start + size].tolist()
        start += size
