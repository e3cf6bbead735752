"""The queue and its threads, without HTTP: which texts share a batch, limits, errors, cancellation, equal bytes."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sentiment.inference.classifier import SentimentClassifier
from sentiment.serving.queue import Batch, Job, TextQueue, next_batch
from sentiment.serving.schemas import ServingError

WAIT = 20


class SteppedClassifier:
    """Scores a text by its number of characters, a token each; computes a batch only when it may."""

    def __init__(self, has_batch_per_thread: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.entered = threading.Event()
        self._permits = threading.Semaphore(0)
        self.encoder = SimpleNamespace(
            has_batch_per_thread=has_batch_per_thread,
            device=torch.device("cpu"),
            config=SimpleNamespace(pooling="mean", max_length=1_000),
            model=SimpleNamespace(encode=self.encode),
        )

    def allow(self, n_batches: int) -> None:
        self._permits.release(n_batches)

    def clean(self, texts: Sequence[str]) -> list[str]:
        return list(texts)

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[int]]]:
        if "cannot be tokenized" in texts:
            raise ValueError
        token_ids = [[1] * len(text) for text in texts]
        return token_ids, token_ids

    def encode(self, token_ids: Sequence[Sequence[int]], pooling: str) -> torch.Tensor:
        self.entered.set()
        self.threads.add(threading.get_ident())
        assert self._permits.acquire(timeout=WAIT)
        self.batches.append([len(ids) for ids in token_ids])
        if any(len(ids) == 13 for ids in token_ids):
            raise RuntimeError("13 tokens")
        return torch.tensor([len(ids) for ids in token_ids], dtype=torch.float32)

    def score(self, features: np.ndarray[Any, Any], whole_ids: Sequence[Sequence[int]]) -> np.ndarray[Any, Any]:
        return features


@pytest.fixture
def stepped() -> SteppedClassifier:
    return SteppedClassifier()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on an event loop of its own thread, within a limit of time: a browser may keep a loop in this one."""
    errors: list[BaseException] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(note)
        await asyncio.wait_for(test(), 3 * WAIT)

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "handle" in context:  # a callback, such as that of a batch, failed
            errors.append(context["exception"])

    def call() -> None:
        try:
            asyncio.run(watched())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(4 * WAIT)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


@asynccontextmanager
async def open_queue(classifier: Any, max_texts: int = 8, batch_chars: int | None = 10) -> AsyncIterator[TextQueue]:
    queue = TextQueue(classifier, max_texts, batch_chars)
    try:
        yield queue
    finally:
        if isinstance(classifier, SteppedClassifier):
            classifier.allow(1_000)
        await asyncio.wait_for(queue.close(), WAIT)


def submit(queue: TextQueue, texts: list[str]) -> "asyncio.Task[Any]":
    return asyncio.create_task(queue.score(texts))


async def busy(queue: TextQueue, classifier: SteppedClassifier) -> "asyncio.Task[Any]":
    """Keep the thread of the model in a batch of one text with one token."""
    first = submit(queue, ["a"])
    await asyncio.to_thread(classifier.entered.wait, WAIT)
    return first


async def settle() -> None:
    """Let what was submitted be queued."""
    await asyncio.sleep(0.2)


def test_texts_that_wait_together_share_batches_of_at_most_the_budget_in_tokens(stepped: SteppedClassifier) -> None:
    async def test() -> None:
        async with open_queue(stepped) as queue:
            await busy(queue, stepped)
            tasks = [submit(queue, ["x" * size]) for size in (4, 5, 3, 6, 1)]
            await settle()
            stepped.allow(3)
            assert [(await task).tolist() for task in tasks] == [[4], [5], [3], [6], [1]]
            assert stepped.batches == [[1], [4, 5], [1, 3, 6]]

    run(test)


def test_a_text_longer_than_the_budget_gets_a_batch_of_its_own(stepped: SteppedClassifier) -> None:
    async def test() -> None:
        async with open_queue(stepped) as queue:
            stepped.allow(2)
            assert (await queue.score(["x" * 25, "x"])).tolist() == [25, 1]
            assert stepped.batches == [[25], [1]]

    run(test)


def test_a_short_request_does_not_wait_for_the_end_of_a_long_one(stepped: SteppedClassifier) -> None:
    async def test() -> None:
        async with open_queue(stepped) as queue:
            await busy(queue, stepped)
            long, short = submit(queue, ["xxxxx"] * 6), submit(queue, ["yy"])
            await settle()
            stepped.allow(2)
            assert (await short).tolist() == [2]
            assert not long.done()

    run(test)


def test_a_full_queue_refuses_at_once_and_accepts_when_a_batch_is_done(stepped: SteppedClassifier) -> None:
    async def test() -> None:
        async with open_queue(stepped) as queue:
            first = await busy(queue, stepped)
            submit(queue, ["x"] * 7)
            await settle()
            start = time.perf_counter()
            with pytest.raises(ServingError, match="8 texts wait, the limit is 8"):
                await queue.score(["x"])
            assert time.perf_counter() - start < 0.1
            stepped.allow(1)
            await first
            stepped.allow(2)
            assert (await queue.score(["x"])).tolist() == [1]

    run(test)


def test_a_request_larger_than_the_queue_is_accepted_when_nothing_waits(stepped: SteppedClassifier) -> None:
    async def test() -> None:
        async with open_queue(stepped) as queue:
            stepped.allow(10)
            assert (await queue.score(["x"] * 30)).tolist() == [1] * 30
            assert (await queue.score([])).shape == (0,)

    run(test)


def test_a_canceled_request_frees_its_places_and_is_not_computed(stepped: SteppedClassifier) -> None:
    async def test() -> None:
        async with open_queue(stepped) as queue:
            first = await busy(queue, stepped)
            left = submit(queue, ["xxx"] * 7)
            await settle()
            with pytest.raises(ServingError, match="429"):
                queue.check_capacity(1)
            left.cancel()
            await asyncio.wait({left})
            assert queue.n_texts == 1
            stayed = submit(queue, ["yy"])
            stepped.allow(3)
            assert (await first).tolist() == [1]
            assert (await stayed).tolist() == [2]
            assert stepped.batches == [[1], [2]]

    run(test)


def test_a_failed_batch_is_an_error_for_its_requests_only(stepped: SteppedClassifier) -> None:
    async def test() -> None:
        async with open_queue(stepped) as queue:
            await busy(queue, stepped)
            failed, fine = submit(queue, ["x" * 13]), submit(queue, ["x" * 2])
            await settle()
            stepped.allow(3)
            with pytest.raises(ServingError, match="424"):
                await failed
            assert (await fine).tolist() == [2]
            assert queue.is_open

    run(test)


def test_no_more_of_a_request_is_computed_when_a_batch_of_it_failed(stepped: SteppedClassifier) -> None:
    async def test() -> None:
        async with open_queue(stepped) as queue:
            stepped.allow(2)
            with pytest.raises(ServingError, match="inference failed"):
                await queue.score(["x" * 13, "y" * 9])
            await settle()
            assert stepped.batches == [[13]]

    run(test)


def test_a_request_in_two_batches_that_both_fail_at_one_time_ends_no_worker() -> None:
    stepped = SteppedClassifier(has_batch_per_thread=True)

    async def test() -> None:
        async with open_queue(stepped, batch_chars=13) as queue:
            failed = submit(queue, ["x" * 13, "y" * 13])
            while len(stepped.threads) < min(2, torch.get_num_threads()):
                await asyncio.sleep(0.01)
            stepped.allow(2)
            with pytest.raises(ServingError, match="424"):
                await failed
            await settle()
            assert queue.is_open
            assert queue.n_texts == 0
            stepped.allow(1)
            assert (await queue.score(["yy"])).tolist() == [2]

    run(test)


def test_a_batch_that_fails_answers_every_request_in_it_also_behind_one_with_two_texts(
    stepped: SteppedClassifier,
) -> None:
    async def test() -> None:
        async with open_queue(stepped, batch_chars=40) as queue:
            await busy(queue, stepped)
            tasks = [submit(queue, texts) for texts in (["x" * 13, "y" * 12], ["z" * 11])]
            await settle()
            stepped.allow(2)
            for task in tasks:
                with pytest.raises(ServingError, match="424"):
                    await asyncio.wait_for(task, WAIT)
            assert stepped.batches == [[1], [11, 12, 13]]

    run(test)


def test_a_text_that_cannot_be_tokenized_is_an_error_and_the_queue_goes_on(stepped: SteppedClassifier) -> None:
    async def test() -> None:
        async with open_queue(stepped) as queue:
            with pytest.raises(ServingError, match="424"):
                await queue.score(["cannot be tokenized"])
            stepped.allow(1)
            assert (await queue.score(["xx"])).tolist() == [2]
            assert queue.n_texts == 0

    run(test)


def test_closing_computes_what_was_accepted_and_refuses_the_rest(stepped: SteppedClassifier) -> None:
    async def test() -> None:
        async with open_queue(stepped, max_texts=100) as queue:
            tasks = [submit(queue, ["xxxxxx"]) for _ in range(5)]
            await settle()
            closing = asyncio.create_task(queue.close())
            await settle()
            with pytest.raises(ServingError, match="503"):
                await queue.score(["x"])
            stepped.allow(5)
            assert [(await task).tolist() for task in tasks] == [[6]] * 5
            await closing

    run(test)


def test_texts_are_tokenized_in_pieces_so_that_memory_does_not_grow_with_the_request(
    stepped: SteppedClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    tokenize = stepped.tokenize

    def note_size(texts: Sequence[str]) -> tuple[list[list[int]], list[list[int]]]:
        sizes.append(sum(map(len, texts)))
        return tokenize(["x"] * len(texts))

    monkeypatch.setattr(stepped, "tokenize", note_size)

    async def test() -> None:
        async with open_queue(stepped, max_texts=100, batch_chars=100_000) as queue:
            stepped.allow(100)
            assert len(await queue.score(["y" * 90_000] * 9)) == 9

    run(test)
    assert max(sizes) == 180_000
    assert sum(sizes) == 9 * 90_000


def test_answers_have_the_same_bits_whatever_shares_their_batches(
    sentiment: SentimentClassifier, sample_texts: list[str]
) -> None:
    texts = sample_texts[:200]
    expected = sentiment.predict_proba(texts)

    async def test() -> None:
        async with open_queue(sentiment, 1_000, None) as queue:
            for sizes in ([1] * 200, [7] * 29, [200]):
                starts = [sum(sizes[:index]) for index in range(len(sizes))]
                pieces = [texts[start : start + size] for start, size in zip(starts, sizes, strict=True)]
                scores = await asyncio.gather(*map(queue.score, pieces))
                assert np.concatenate(scores).tobytes() == expected.tobytes()

    run(test)


def job(*lengths: int) -> Job:
    """A request whose texts have so many characters."""
    unbatched = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    texts = ["x" * length for length in lengths]
    return Job(texts, np.empty(len(lengths), np.float32), None, unbatched)  # type: ignore[arg-type]


def lengths(batch: Batch) -> list[int]:
    return sorted(len(one.texts[index]) for one, index in batch)


def test_the_oldest_text_and_those_nearest_in_length_share_a_batch() -> None:
    jobs = [job(60), *(job(10 if index % 2 else 59) for index in range(39))]
    assert lengths(next_batch(jobs, 2_048, 512, share=0.5)) == [59] * 19 + [60]
    assert [len(one.unbatched) for one in jobs[:4]] == [0, 0, 1, 0]


def test_every_batch_takes_the_text_that_waits_longest() -> None:
    jobs = [job(2)] + [job(100) for _ in range(40)]
    for _ in range(5):
        oldest = jobs[0]
        batch = next_batch(jobs, 2_048, 512, share=0.5)
        assert (oldest, 0) in batch
        jobs = [one for one in jobs if one.unbatched] + [job(100) for _ in batch]


def test_few_texts_are_not_divided_and_no_text_is_in_two_batches() -> None:
    jobs = [job(5, 50), job(20)]
    assert lengths(next_batch(jobs, 2_048, 512, share=0.5)) == [5, 20, 50]
    assert next_batch(jobs, 2_048, 512, share=0.5) == []


def test_a_large_request_is_batched_by_length_so_that_little_is_padding() -> None:
    large = job(*(index % 100 + 1 for index in range(1_000)))
    batches = []
    while batch := lengths(next_batch([large], 2_048, 512, share=0.5)):
        batches.append(batch)
    assert sorted(chain.from_iterable(batches)) == sorted(index % 100 + 1 for index in range(1_000))
    assert all(sum(batch) <= 2_048 for batch in batches)
    assert sum(len(batch) * max(batch) for batch in batches) < 1.1 * sum(map(sum, batches))
