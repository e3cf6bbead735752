"""Scratch memory: one piece for each name, views that are made once."""

import pytest
import torch
from torch import Tensor

from sentiment.numerics import memory as module
from sentiment.numerics.memory import Buffers


@pytest.fixture
def buffers() -> Buffers:
    return Buffers(torch.device("cpu"))


def halves(memory: Tensor) -> tuple[Tensor, Tensor]:
    return memory[:, :2], memory[:, 2:]


def test_a_name_is_one_piece_of_memory_for_each_dtype(buffers: Buffers) -> None:
    large = buffers.get("a", (2, 4))
    assert buffers.get("a", (4,)).data_ptr() == large.data_ptr()
    assert buffers.get("b", (4,)).data_ptr() != large.data_ptr()
    assert buffers.get("a", (2, 4), torch.int8).dtype == torch.int8


def test_views_are_made_once_and_share_the_memory(buffers: Buffers) -> None:
    left, right = buffers.views("a", (2, 4), halves)
    assert buffers.views("a", (2, 4), halves)[0] is left
    buffers.get("a", (2, 4)).copy_(torch.arange(8.0).view(2, 4))
    assert right.tolist() == [[2, 3], [6, 7]]


def test_memory_that_grows_makes_its_views_anew(buffers: Buffers) -> None:
    left, _ = buffers.views("a", (2, 4), halves)
    other = buffers.get("b", (2,))
    grown = buffers.get("a", (100, 4))
    assert buffers.views("a", (2, 4), halves)[0] is not left
    assert buffers.views("a", (2, 4), halves)[0].data_ptr() == grown.data_ptr()
    assert buffers.get("b", (2,)) is other


def test_only_so_many_views_are_kept(buffers: Buffers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VIEWS", 3)
    first = buffers.get("a", (1,))
    for size in range(2, 5):
        buffers.get("a", (size,))
    again = buffers.get("a", (1,))
    assert again is not first
    assert again.data_ptr() == buffers.get("a", (4,)).data_ptr()
