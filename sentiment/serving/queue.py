"""Queue texts and compute them in batches by tokens, in threads that share the cores.

Requests that wait together share a batch, so that a busy server computes few large batches and an idle one answers at
once. Each request gets an equal share of every batch: one with thousands of texts does not keep the others waiting.

All state belongs to the event loop, so that nothing needs a lock; only tokenizing and the model run in threads. A
thread computes a batch on its share of the cores, as `FrozenEncoder.encode` does.

Why no library does this: LitServe and the batching of Ray Serve form batches by number of texts and by time, and
LitServe has no limit of its queue, so no status 429. Around the same classifier, with 32 connections, this queue was
1.3 times as fast as LitServe (rounds: 0.97, 1.3, 2.2; on a machine with much other work) and several times as fast as
Ray Serve (2.8 or more). `python -m benchmarks.serving` measures all three.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sentiment.inference.classifier import SentimentClassifier, strip_texts
from sentiment.serving.schemas import InferenceFailedError, OverloadedError, ShuttingDownError

MIN_TEXTS = 12  # in smaller batches the fixed costs of a batch weigh more than padding
SHARE = 2 / 3  # of the texts that wait go into one batch, where several are computed at one time
TOKENIZE_CHARS = 200_000  # tokenized in one call: 20 MB of memory, whatever a request holds

TokenIds = Sequence[int]
Scores = NDArray[np.float32]
Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """The texts of one request.

    Attributes:
        future: of the probabilities, shape (n_texts,); canceled when the client hangs up.
        token_ids: of the texts that have been tokenized, in their order.
        unbatched: indices of the tokenized texts that are in no batch yet, the longest text first.
        n_scored: texts whose probability is in `scores`.
    """

    texts: Sequence[str]
    scores: Scores
    future: "asyncio.Future[Scores]"
    token_ids: list[TokenIds] = field(default_factory=list)
    unbatched: list[int] = field(default_factory=list)
    n_scored: int = 0

    def n_tokens(self, index: int) -> int:
        """Return the number of tokens of a text that has been tokenized."""
        return len(self.token_ids[index])

    @property
    def is_untokenized(self) -> bool:
        """Whether a text has no token ids yet."""
        return len(self.token_ids) < len(self.texts)


Batch = list[tuple[Job, int]]  # a job and the index of one of its texts


class TextQueue:
    """Accepts texts on the event loop, which must run, and computes them in threads.

    Args:
        classifier: that answers.
        max_texts: that wait or are computed; an empty queue takes a request of any size.
        batch_tokens: tokens of a batch; None for what suits the device.
        on_batch: called with the number of texts of each batch.

    Attributes:
        n_texts: that wait or are computed.
    """

    def __init__(
        self,
        classifier: SentimentClassifier,
        max_texts: int,
        batch_tokens: int | None = None,
        on_batch: Callable[[int], object] = lambda n_texts: None,
    ) -> None:
        import torch  # seconds, which the checks of arguments do without

        from sentiment.encoder.frozen import TOKEN_BUDGET, n_workers
        from sentiment.numerics.memory import use_threads

        encoder = classifier.encoder
        n_threads = torch.get_num_threads()
        n_batches = n_workers(n_threads) if encoder.has_batch_per_thread else 1
        self.classifier = classifier
        self.batch_tokens = batch_tokens or TOKEN_BUDGET[encoder.device.type]
        self.n_texts = 0
        self._share = 1.0 if n_batches == 1 else SHARE
        self._max_texts = max_texts
        self._on_batch = on_batch
        self._jobs: list[Job] = []  # without an answer, the longest waiting first
        self._changed = asyncio.Event()
        self._closed = False
        threads_each = max(1, n_threads // n_batches)
        self._pool = ThreadPoolExecutor(n_batches, "model", initializer=use_threads, initargs=(threads_each,))
        self._tokenizing = ThreadPoolExecutor(1, "tokenizer")
        self._tasks = [asyncio.create_task(self._compute_all()) for _ in range(n_batches)]
        self._tasks.append(asyncio.create_task(self._tokenize_all()))

    @property
    def is_alive(self) -> bool:
        """Whether texts are accepted."""
        return not self._closed and not any(task.done() for task in self._tasks)

    def check_capacity(self, n_texts: int) -> None:
        """Refuse texts that find no place.

        Raises:
            OverloadedError: the queue has too few free slots.
            ShuttingDownError: `close` was called.
        """
        if not self.is_alive:
            raise ShuttingDownError("the server is shutting down")
        if self.n_texts and self.n_texts + n_texts > self._max_texts:
            raise OverloadedError(
                f"the queue is full: {self.n_texts:,} texts wait, the limit is {self._max_texts:,}; try again"
            )

    async def score(self, texts: Sequence[str]) -> Scores:
        """Return the probability of "positive" of each text, float32 of shape (n_texts,); canceling frees their slots.

        Raises:
            OverloadedError, ShuttingDownError: as `check_capacity`.
            InferenceFailedError: the model raised an error.
        """
        if not texts:
            return np.empty(0, dtype=np.float32)
        self.check_capacity(len(texts))
        job = Job(texts, np.empty(len(texts), dtype=np.float32), asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self.n_texts += len(texts)
        self._notify()
        try:
            return await job.future
        finally:
            self.n_texts -= len(texts)
            self._remove(job)

    async def run(self, function: Callable[[], Result], n_texts: int) -> Result:
        """Return what `function` returns in a thread of the model, between two batches; errors as `score`."""
        self.check_capacity(n_texts)
        self.n_texts += n_texts
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        except Exception:
            log.exception("a call for %d texts failed", n_texts)
            raise InferenceFailedError("inference failed") from None
        finally:
            self.n_texts -= n_texts

    async def close(self) -> None:
        """Accept nothing more, compute what was accepted, end the threads."""
        self._closed = True
        self._notify()
        await asyncio.gather(*self._tasks)
        self._tokenizing.shutdown()
        self._pool.shutdown()

    def _notify(self) -> None:
        """Wake the tasks that wait for work."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _remove(self, job: Job) -> None:
        if job in self._jobs:
            self._jobs.remove(job)
            self._notify()

    async def _work_for(self, has_work: Callable[[Job], object]) -> bool:
        """Wait until a job has work, or the queue is closed and empty; return whether a job has work."""
        while not any(map(has_work, self._jobs)):
            if self._closed and not self._jobs:
                return False
            await self._changed.wait()
        return True

    async def _tokenize_all(self) -> None:
        """Tokenize the texts that come, those of all waiting jobs in one call, and never much at once."""
        while await self._work_for(lambda job: job.is_untokenized):
            items = _next_texts(self._jobs, TOKENIZE_CHARS)
            texts = strip_texts([job.texts[index] for job, index in items])
            tokenize = self.classifier.encoder.tokenize
            try:
                token_ids = await asyncio.get_running_loop().run_in_executor(self._tokenizing, tokenize, texts)
            except Exception:
                log.exception("tokenizing %d texts failed", len(texts))
                self._fail((job for job, _ in items), "the texts could not be tokenized")
                continue
            for (job, index), ids in zip(items, token_ids, strict=True):
                job.token_ids.append(ids)
                job.unbatched.append(index)
            for job in {job for job, _ in items}:
                job.unbatched.sort(key=job.n_tokens, reverse=True)
            self._notify()

    async def _compute_all(self) -> None:
        """Compute one batch after another; as many of these run as there are threads."""
        loop = asyncio.get_running_loop()
        while await self._work_for(lambda job: job.unbatched):
            batch = next_batch(self._jobs, self.batch_tokens, self._share)
            served = {job for job, _ in batch}
            # who had a share of this batch stands behind those who had none
            self._jobs.sort(key=served.__contains__)
            self._on_batch(len(batch))
            ids = [job.token_ids[index] for job, index in batch]
            try:
                scores = await loop.run_in_executor(self._pool, score_token_ids, self.classifier, ids)
            except Exception:
                log.exception("a batch of %d texts failed", len(batch))
                self._fail(served, "inference failed")
                continue
            for (job, index), score in zip(batch, scores, strict=True):
                job.scores[index] = score
                job.n_scored += 1
                if job.n_scored == len(job.texts) and not job.future.done():
                    job.future.set_result(job.scores)

    def _fail(self, jobs: Iterable[Job], message: str) -> None:
        """Answer jobs with an error, unless they have an answer or nobody waits for it."""
        for job in jobs:
            self._remove(job)
            if not job.future.done():
                job.future.set_exception(InferenceFailedError(message))


def _next_texts(jobs: Sequence[Job], max_chars: int) -> Batch:
    """Return the next texts of the jobs that are to be tokenized: at most `max_chars` characters, or one text."""
    items: Batch = []
    n_chars = 0
    for job in jobs:
        for index in range(len(job.token_ids), len(job.texts)):
            n_chars += len(job.texts[index])
            if items and n_chars > max_chars:
                return items
            items.append((job, index))
    return items


def pieces(texts: Sequence[str], max_chars: int = TOKENIZE_CHARS) -> Iterator[list[str]]:
    """Yield the texts in lists of at most `max_chars` characters, or of one text."""
    piece: list[str] = []
    n_chars = 0
    for text in texts:
        if piece and n_chars + len(text) > max_chars:
            yield piece
            piece, n_chars = [], 0
        piece.append(text)
        n_chars += len(text)
    if piece:
        yield piece


def next_batch(jobs: Sequence[Job], batch_tokens: int, share: float = 1.0) -> Batch:
    """Return texts of the jobs by length, and take them out of `unbatched`; at least one text where there is one.

    Texts of one length need no padding, which costs up to a quarter of the time. So a batch has the text that waits the
    longest and, of the others, those whose length is nearest to it; the rest waits for the next batch. Nothing waits
    forever: each batch takes the oldest.

    Args:
        jobs: the longest waiting first.
        batch_tokens: the most tokens that a batch has, unless it is one text.
        share: of the texts that wait, to take at most; more than that where it would be fewer than `MIN_TEXTS`.
    """
    waiting = _in_turn(jobs, batch_tokens / share)
    if not waiting:
        return []
    length = n_tokens_of(waiting[0])
    nearest = sorted(waiting[1:], key=lambda item: abs(n_tokens_of(item) - length))
    n_texts = max(MIN_TEXTS, round(len(waiting) * share))
    batch, n_tokens = waiting[:1], length
    for item in nearest[: n_texts - 1]:
        n_tokens += n_tokens_of(item)
        if n_tokens > batch_tokens:
            break
        batch.append(item)
    for job, index in batch:
        job.unbatched.remove(index)
    return sorted(batch, key=n_tokens_of)  # equal lengths side by side, which the encoder wants


def n_tokens_of(item: tuple[Job, int]) -> int:
    """Return the number of tokens of a text that has been tokenized."""
    job, index = item
    return job.n_tokens(index)


def _in_turn(jobs: Sequence[Job], max_tokens: float) -> Batch:
    """Return texts of the jobs in turn, one each, until they have `max_tokens` tokens; at least one."""
    texts: Batch = []
    n_tokens, depth = 0, 0
    while deepest := [job for job in jobs if len(job.unbatched) > depth]:
        for job in deepest:
            item = (job, job.unbatched[depth])
            n_tokens += n_tokens_of(item)
            if texts and n_tokens > max_tokens:
                return texts
            texts.append(item)
        depth += 1
    return texts


def score_token_ids(classifier: SentimentClassifier, token_ids: Sequence[TokenIds]) -> Scores:
    """Return the probability of "positive" of each text, shape (n_texts,), as `predict_proba` does.

    Raises:
        ClassifierError: the encoder's features are not finite.
    """
    import torch

    encoder = classifier.encoder
    with torch.inference_mode():
        return classifier.score(encoder.model.encode(token_ids, encoder.config.pooling).cpu().numpy())
