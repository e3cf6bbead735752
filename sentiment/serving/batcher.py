"""A bounded queue of texts, and the one thread that computes them in batches by tokens.

Requests that wait together share a batch, so that a busy server computes few large batches and an idle one answers at
once. Each gets an equal share of every batch: one with thousands of texts does not keep the others waiting.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Any

import numpy as np

from sentiment.serving.errors import OverloadedError, ShuttingDownError
from sentiment.serving.jobs import Batch, Call, Job, Result, Scores, fail, ids_of, next_batch
from sentiment.serving.model import Model

log = logging.getLogger(__name__)


class Batcher:
    """Accepts texts from any thread and computes them in its own."""

    def __init__(self, model: Model, queue_texts: int) -> None:
        self._model = model
        self.batch_tokens = model.batch_tokens
        self._queue_texts = queue_texts
        self._changed = Condition()
        self._jobs: list[Job] = []  # with texts that are in no batch yet, the longest waiting first
        self._calls: deque[Call[Any]] = deque()
        self._n_texts = 0  # accepted and not answered
        self._closed = False
        self.batch_sizes: list[int] = []  # of the batches since the last `take_batch_sizes`
        self._thread = Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def n_texts(self) -> int:
        """Number of texts that wait or are being computed."""
        return self._n_texts

    @property
    def is_full(self) -> bool:
        """Whether a request of one text would be refused."""
        return self._n_texts >= self._queue_texts

    @property
    def is_alive(self) -> bool:
        """Whether texts are accepted and the thread runs."""
        return self._thread.is_alive() and not self._closed

    def submit(self, texts: Sequence[str]) -> "Future[Scores]":
        """Queue texts; canceling the future frees their places.

        Returns:
            The future of the probability of "positive" of each text, float32 of shape (n_texts,). It raises
            InferenceFailedError where the model did.

        Raises:
            OverloadedError: the queue has no room.
            ShuttingDownError: `close` was called.
        """
        job = Job(texts, np.empty(len(texts), dtype=np.float32))
        if not texts:
            job.future.set_result(job.scores)
            return job.future
        with self._changed:
            self._take_places(len(texts))
            self._jobs.append(job)
            self._changed.notify()
        job.future.add_done_callback(lambda _: self._release(job))
        return job.future

    def submit_call(self, function: Callable[[], Result], n_texts: int) -> "Future[Result]":
        """Queue a call for the model thread, which takes one between two batches; errors as `submit`."""
        call = Call(function, n_texts)
        with self._changed:
            self._take_places(n_texts)
            self._calls.append(call)
            self._changed.notify()
        call.future.add_done_callback(lambda _: self._release_places(n_texts))
        return call.future

    def _take_places(self, n_texts: int) -> None:
        if not self.is_alive:
            raise ShuttingDownError("the server is shutting down")
        if self._n_texts and self._n_texts + n_texts > self._queue_texts:
            raise OverloadedError(
                f"the queue is full: {self._n_texts:,} texts wait, the limit is {self._queue_texts:,}; try again"
            )
        self._n_texts += n_texts

    def _release_places(self, n_texts: int) -> None:
        with self._changed:
            self._n_texts -= n_texts

    def close(self, timeout: float | None = None) -> bool:
        """Accept nothing more, compute what was accepted, end the thread; return whether it ended in time."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _release(self, job: Job) -> None:
        with self._changed:
            self._release_places(len(job.texts))
            if job in self._jobs:  # canceled: its texts need no batch
                self._jobs.remove(job)

    def _run(self) -> None:
        while (jobs := self._wait()) or self._calls:
            if self._calls:
                self._calls.popleft().run()
            self._tokenize([job for job in jobs if job.token_ids is None])
            with self._changed:
                batch = next_batch([job for job in self._jobs if job.token_ids is not None], self.batch_tokens)
                waiting = [job for job in self._jobs if job.n_batched < len(job.texts)]
                served = {id(job) for job, _ in batch}
                # who had a share of this batch stands behind those who had none
                self._jobs = [job for job in waiting if id(job) not in served]
                self._jobs += [job for job in waiting if id(job) in served]
            if batch:
                self._compute(batch)

    def _wait(self) -> list[Job]:
        """Return the jobs in the queue, when there is one or a call, or the queue is closed."""
        with self._changed:
            while not self._jobs and not self._calls and not self._closed:
                self._changed.wait()
            return list(self._jobs)

    def _tokenize(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        try:
            token_ids = self._model.tokenize([text for job in jobs for text in job.texts])
        except Exception:
            log.exception("tokenizing %d requests failed", len(jobs))
            fail(jobs, "the texts could not be tokenized")
            return
        start = 0
        for job in jobs:
            job.token_ids = token_ids[start : start + len(job.texts)]
            start += len(job.texts)

    def _compute(self, batch: Batch) -> None:
        # equal lengths side by side, which the encoder wants
        batch.sort(key=lambda item: len(ids_of(item)))
        self.batch_sizes.append(len(batch))
        try:
            scores = self._model.score([ids_of(item) for item in batch])
        except Exception:
            log.exception("a batch of %d texts failed", len(batch))
            fail(list({id(job): job for job, _ in batch}.values()), "inference failed")
            return
        for (job, index), score in zip(batch, scores, strict=True):
            job.scores[index] = score
            job.n_scored += 1
            if job.n_scored == len(job.texts) and job.future.set_running_or_notify_cancel():
                job.future.set_result(job.scores)

    def take_batch_sizes(self) -> list[int]:
        """Return the numbers of texts of the batches since the last call."""
        sizes, self.batch_sizes = self.batch_sizes, []
        return sizes
