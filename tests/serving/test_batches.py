"""Which texts share a batch: the oldest and those of its length; and several batches at one time."""

import threading
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sentiment.serving.batcher import Batcher
from sentiment.serving.batches import Batch, next_batch
from sentiment.serving.jobs import Job

WAIT = 20


def job(*lengths: int) -> Job:
    """A request whose texts have so many tokens."""
    made = Job(["x"] * len(lengths), np.empty(len(lengths), np.float32))
    made.set_token_ids([[1] * length for length in lengths])
    return made


def lengths(batch: Batch) -> list[int]:
    return [len(job.token_ids[index]) for job, index in batch]


def test_the_oldest_text_and_those_nearest_in_length_share_a_batch() -> None:
    jobs = [job(60), *(job(10 if index % 2 else 59) for index in range(39))]
    assert lengths(next_batch(jobs, 2_048, share=0.5)) == [59] * 19 + [60]
    assert [len(one.unbatched) for one in jobs[:4]] == [0, 0, 1, 0]


def test_every_batch_takes_the_text_that_waits_longest() -> None:
    jobs = [job(2)] + [job(100) for _ in range(40)]
    for _ in range(5):
        oldest = jobs[0]
        batch = next_batch(jobs, 2_048, share=0.5)
        assert (oldest, 0) in batch
        jobs = [one for one in jobs if one.unbatched] + [job(100) for _ in batch]


def test_few_texts_are_not_divided_and_no_text_is_in_two_batches() -> None:
    jobs = [job(5, 50), job(20)]
    assert lengths(next_batch(jobs, 2_048, share=0.5)) == [5, 20, 50]
    assert next_batch(jobs, 2_048, share=0.5) == []


def test_a_large_request_is_batched_by_length_so_that_little_is_padding() -> None:
    large = job(*(index % 100 + 1 for index in range(1_000)))
    batches = []
    while batch := lengths(next_batch([large], 2_048, share=0.5)):
        batches.append(batch)
    assert sorted(chain.from_iterable(batches)) == sorted(index % 100 + 1 for index in range(1_000))
    assert all(sum(batch) <= 2_048 for batch in batches)
    assert sum(len(batch) * max(batch) for batch in batches) < 1.1 * sum(map(sum, batches))


class MeetingModel:
    """Scores a batch only while another thread scores one too."""

    batch_tokens = 10
    n_workers = 2

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self._both = threading.Barrier(2, timeout=WAIT)

    def start_worker(self) -> None:
        self.threads.add(threading.get_ident())

    def end_worker(self) -> None:
        pass

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [[1] * len(text) for text in texts]

    def score(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        self._both.wait()
        return np.array([len(ids) for ids in token_ids], np.float32)


def test_two_workers_compute_batches_of_one_request_at_the_same_time() -> None:
    model = MeetingModel()
    batcher = Batcher(model, queue_texts=100)
    try:
        assert batcher.submit(["x" * 9, "y" * 8, "z" * 7, "w" * 6]).result(WAIT).tolist() == [9, 8, 7, 6]
        assert len(model.threads) == 2
    finally:
        assert batcher.close(WAIT)
