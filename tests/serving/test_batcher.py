"""The queue and its workers, without HTTP."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait

import numpy as np
import pytest
from numpy.typing import NDArray

from sentiment.inference.classifier import SentimentClassifier
from sentiment.serving.batcher import Batcher
from sentiment.serving.errors import InferenceFailedError, OverloadedError, ShuttingDownError
from sentiment.serving.model import ServedModel

WAIT = 20


class SteppedModel:
    """Scores a text by its number of characters, a token each; computes a batch only when it may."""

    batch_tokens = 10

    def __init__(self, n_workers: int = 1) -> None:
        self.n_workers = n_workers
        self.batches: list[list[int]] = []
        self._permits = threading.Semaphore(0)
        self.entered = threading.Event()

    def allow(self, n_batches: int) -> None:
        self._permits.release(n_batches)

    def start_worker(self) -> None:
        pass

    def end_worker(self) -> None:
        pass

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        if "cannot be tokenized" in texts:
            raise ValueError
        return [[ord(character) for character in text] for text in texts]

    def score(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        self.entered.set()
        assert self._permits.acquire(timeout=WAIT)
        self.batches.append([len(ids) for ids in token_ids])
        if any(len(ids) == 13 for ids in token_ids):
            raise RuntimeError("13 tokens")
        return np.array([len(ids) for ids in token_ids], dtype=np.float32)


@pytest.fixture
def model() -> SteppedModel:
    return SteppedModel()


@pytest.fixture
def batcher(model: SteppedModel) -> Iterator[Batcher]:
    batcher = Batcher(model, queue_texts=8)
    yield batcher
    model.allow(1_000)
    assert batcher.close(WAIT)


def busy(batcher: Batcher, model: SteppedModel) -> "Future[NDArray[np.float32]]":
    """Keep the model thread in a batch of one text with one token."""
    first = batcher.submit(["a"])
    assert model.entered.wait(WAIT)
    return first


def test_texts_that_wait_together_share_batches_of_at_most_the_budget_in_tokens(
    batcher: Batcher, model: SteppedModel
) -> None:
    busy(batcher, model)
    futures = [batcher.submit(["x" * size]) for size in (4, 5, 3, 6, 1)]
    model.allow(3)
    assert [future.result(WAIT).tolist() for future in futures] == [[4], [5], [3], [6], [1]]
    assert model.batches == [[1], [4, 5], [1, 3, 6]]


def test_a_text_longer_than_the_budget_gets_a_batch_of_its_own(batcher: Batcher, model: SteppedModel) -> None:
    busy(batcher, model)
    future = batcher.submit(["x" * 25, "x"])
    model.allow(3)
    assert future.result(WAIT).tolist() == [25, 1]
    assert model.batches == [[1], [25], [1]]


def test_a_short_request_does_not_wait_for_the_end_of_a_long_one(batcher: Batcher, model: SteppedModel) -> None:
    busy(batcher, model)
    long, short = batcher.submit(["xxxxx"] * 6), batcher.submit(["yy"])
    model.allow(2)
    assert short.result(WAIT).tolist() == [2]
    assert not long.done()


def test_a_full_queue_refuses_at_once_and_accepts_when_a_batch_is_done(batcher: Batcher, model: SteppedModel) -> None:
    first = busy(batcher, model)
    batcher.submit(["x"] * 7)
    start = time.perf_counter()
    with pytest.raises(OverloadedError, match="8 texts wait, the limit is 8"):
        batcher.submit(["x"])
    assert time.perf_counter() - start < 0.1
    model.allow(1)
    first.result(WAIT)
    last = batcher.submit(["x"])
    model.allow(2)
    assert last.result(WAIT).tolist() == [1]


def test_a_request_larger_than_the_queue_is_accepted_when_nothing_waits(batcher: Batcher, model: SteppedModel) -> None:
    future = batcher.submit(["x"] * 30)
    model.allow(10)
    assert future.result(WAIT).tolist() == [1] * 30


def test_a_canceled_request_frees_its_places_and_is_not_computed(batcher: Batcher, model: SteppedModel) -> None:
    first = busy(batcher, model)
    left = batcher.submit(["xxx"] * 7)
    with pytest.raises(OverloadedError):
        batcher.check_capacity(1)
    assert left.cancel()
    assert batcher.n_texts == 1
    stayed = batcher.submit(["yy"])
    model.allow(3)
    assert first.result(WAIT).tolist() == [1]
    assert stayed.result(WAIT).tolist() == [2]
    assert model.batches == [[1], [2]]


def test_a_failed_batch_is_an_error_for_its_requests_only(batcher: Batcher, model: SteppedModel) -> None:
    busy(batcher, model)
    failed, fine = batcher.submit(["x" * 13]), batcher.submit(["x" * 2])
    model.allow(3)
    with pytest.raises(InferenceFailedError):
        failed.result(WAIT)
    assert fine.result(WAIT).tolist() == [2]
    assert batcher.is_alive


def test_a_text_that_cannot_be_tokenized_is_an_error_and_the_thread_goes_on(
    batcher: Batcher, model: SteppedModel
) -> None:
    with pytest.raises(InferenceFailedError, match="tokenized"):
        batcher.submit(["cannot be tokenized"]).result(WAIT)
    model.allow(1)
    assert batcher.submit(["xx"]).result(WAIT).tolist() == [2]
    assert batcher.n_texts == 0


def test_closing_computes_what_was_accepted_and_refuses_the_rest(model: SteppedModel) -> None:
    batcher = Batcher(model, queue_texts=100)
    futures = [batcher.submit(["xxxxxx"]) for _ in range(5)]
    closing = threading.Thread(target=batcher.close, args=(WAIT,))
    closing.start()
    deadline = time.monotonic() + WAIT
    while batcher.is_alive and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(ShuttingDownError):
        batcher.submit(["x"])
    model.allow(5)
    closing.join(WAIT)
    assert [future.result(0).tolist() for future in futures] == [[6]] * 5


def test_no_texts_are_answered_without_a_batch(batcher: Batcher) -> None:
    assert batcher.submit([]).result(0).shape == (0,)


def test_answers_have_the_same_bits_whatever_shares_their_batches(
    sentiment: SentimentClassifier, sample_texts: list[str]
) -> None:
    texts = sample_texts[:200]
    expected = sentiment.predict_proba(texts)
    batcher = Batcher(ServedModel(sentiment), queue_texts=1_000)

    def scores_of(sizes: Callable[[int], int]) -> NDArray[np.float32]:
        futures, start = [], 0
        while start < len(texts):
            futures.append(batcher.submit(texts[start : start + sizes(start)]))
            start += sizes(start)
        assert not wait(futures, timeout=60).not_done
        return np.concatenate([future.result() for future in futures])

    try:
        for sizes in (lambda start: 1, lambda start: start % 7 + 1, lambda start: 200):
            assert scores_of(sizes).tobytes() == expected.tobytes()
    finally:
        assert batcher.close(WAIT)
