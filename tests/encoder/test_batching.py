"""Batches lose no text, keep the budget, and pad little."""

import numpy as np

from sentiment.encoder.floating import padded
from sentiment.encoder.frozen import token_batches

LENGTHS = np.random.default_rng(0).integers(3, 129, 3000).tolist()


def test_every_text_once_and_within_the_budget() -> None:
    groups = list(token_batches(LENGTHS, 2048))
    assert sorted(index for group in groups for index in group) == list(range(3000))
    assert all(len(group) * max(LENGTHS[index] for index in group) <= 2048 for group in groups)
    assert max(LENGTHS[index] for index in groups[0]) == max(LENGTHS), "longest first"


def test_padding_is_rare() -> None:
    computed = sum(len(group) * max(LENGTHS[index] for index in group) for group in token_batches(LENGTHS, 2048))
    assert computed < 1.05 * sum(LENGTHS)
    in_order = sum(32 * max(LENGTHS[start : start + 32]) for start in range(0, 3000, 32))
    assert in_order > 1.5 * sum(LENGTHS), "what batches in file order would compute"


def test_a_text_longer_than_the_budget_stands_alone() -> None:
    assert list(token_batches([5, 100, 5], 20)) == [[1], [0, 2]]
    assert list(token_batches([], 20)) == []


def test_padding_and_mask() -> None:
    ids, mask = padded([[5, 6, 7], [8]], pad=0)
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask is not None
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert padded([[5, 6], [7, 8]], pad=0)[1] is None


def test_several_workers_get_smaller_groups_near_the_end() -> None:
    """Half of a worker's share of what is left: 100 tokens of 100, 80, 60, 45, 34, 24, 14 and 4 texts."""
    groups = list(token_batches([100] * 100, 2048, n_workers=2))
    assert [len(group) for group in groups] == [20, 20, 15, 11, 10, 10, 10, 4]
    assert sorted(index for group in groups for index in group) == list(range(100))
