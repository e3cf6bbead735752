"""Batches on threads of their own: what each thread computes with, and the order of what comes back."""

from collections.abc import Iterator

import pytest
import torch

from sentiment.encoder.frozen import map_batches


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def threads_after_an_operation(batch: int) -> tuple[int, int]:
    torch.ones(100_000).mul_(2.0)  # torch sets up a thread when it first computes there
    return batch, torch.get_num_threads()


@pytest.mark.usefixtures("four_threads")
def test_a_batch_is_computed_on_one_thread_of_torch() -> None:
    assert list(map_batches(threads_after_an_operation, range(8))) == [(batch, 1) for batch in range(8)]
    assert torch.get_num_threads() == 4
