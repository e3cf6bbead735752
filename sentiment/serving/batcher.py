"""A bounded queue of texts, and the workers that compute them in batches by tokens.

Requests that wait together share a batch, so that a busy server computes few large batches and an idle one answers at
once. Each gets an equal share of every batch: one with thousands of texts does not keep the others waiting.

A worker is a thread that computes batches on its share of the cores, as `encoder.parallel` does in `sentiment predict`.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from time import monotonic
from typing import Any

import numpy as np

from sentiment.serving.batches import Batch, ids_of, next_batch
from sentiment.serving.capacity import Capacity
from sentiment.serving.errors import ShuttingDownError
from sentiment.serving.jobs import Call, Job, Result, fail, tokenize
from sentiment.serving.model import Model
from sentiment.serving.scores import Scores

log = logging.getLogger(__name__)

SHARE = 2 / 3  # of the texts that wait go into one batch, where several are computed at one time


class Batcher:
    """Accepts texts from any thread and computes them in its workers."""

    def __init__(self, model: Model, queue_texts: int) -> None:
        self._model = model
        self.batch_tokens = model.batch_tokens
        self._capacity = Capacity(queue_texts)
        self._changed = Condition()
        self._new: list[Job] = []  # not tokenized
        self._jobs: list[Job] = []  # with texts that are in no batch yet, the longest waiting first
        self._calls: deque[Call[Any]] = deque()
        self._share = 1.0 if model.n_workers == 1 else SHARE
        self._closed = False
        self._batch_sizes: list[int] = []  # of the batches since the last `take_batch_sizes`
        self._workers = [Thread(target=self._run, name="model", daemon=True) for _ in range(model.n_workers)]
        for worker in self._workers:
            worker.start()

    @property
    def n_texts(self) -> int:
        """Number of texts that wait or are being computed."""
        return self._capacity.n_texts

    @property
    def is_alive(self) -> bool:
        """Whether texts are accepted and the workers run."""
        return not self._closed and all(worker.is_alive() for worker in self._workers)

    def submit(self, texts: Sequence[str]) -> "Future[Scores]":
        """Queue texts; canceling the future frees their slots.

        Returns:
            The future of the probability of "positive" of each text, float32 of shape (n_texts,). It raises
            InferenceFailedError where the model did.

        Raises:
            OverloadedError: the queue has too few free slots.
            ShuttingDownError: `close` was called.
        """
        job = Job(texts, np.empty(len(texts), dtype=np.float32))
        if not texts:
            job.future.set_result(job.scores)
            return job.future
        with self._changed:
            self._acquire_slots(len(texts))
            self._new.append(job)
            self._changed.notify()
        job.future.add_done_callback(lambda _: self._release(job))
        return job.future

    def submit_call(self, function: Callable[[], Result], n_texts: int) -> "Future[Result]":
        """Queue a call for a worker, which takes one between two batches; errors as `submit`."""
        call = Call(function, n_texts)
        with self._changed:
            self._acquire_slots(n_texts)
            self._calls.append(call)
            self._changed.notify()
        call.future.add_done_callback(lambda _: self._capacity.release(n_texts))
        return call.future

    def check_capacity(self, n_texts: int) -> None:
        """Raise as `submit` does where it would refuse so many texts."""
        if not self.is_alive:
            raise ShuttingDownError("the server is shutting down")
        self._capacity.check(n_texts)

    def _acquire_slots(self, n_texts: int) -> None:
        self.check_capacity(n_texts)
        self._capacity.acquire(n_texts)

    def close(self, timeout: float | None = None) -> bool:
        """Accept nothing more, compute what was accepted, end the workers; return whether they ended in time."""
        deadline = None if timeout is None else monotonic() + timeout
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join(None if deadline is None else max(0.0, deadline - monotonic()))
        return not any(worker.is_alive() for worker in self._workers)

    def _release(self, job: Job) -> None:
        self._capacity.release(len(job.texts))
        with self._changed:
            for jobs in (self._new, self._jobs):
                if job in jobs:  # canceled: its texts need no batch
                    jobs.remove(job)

    def _run(self) -> None:
        self._model.start_worker()
        try:
            self._serve()
        finally:
            self._model.end_worker()

    def _serve(self) -> None:
        while self._wait():
            with self._changed:
                call = self._calls.popleft() if self._calls else None
                new, self._new = self._new, []
            if call:
                call.run()
            tokenize(new, self._model.tokenize)
            with self._changed:
                self._jobs += [job for job in new if not job.future.done()]
            if batch := self._take_batch():
                self._compute(batch)

    def _wait(self) -> bool:
        """Wait until there is work, or the queue is closed; return whether there is work."""
        with self._changed:
            while not (self._new or self._jobs or self._calls or self._closed):
                self._changed.wait()
            return bool(self._new or self._jobs or self._calls)

    def _take_batch(self) -> Batch:
        with self._changed:
            batch = next_batch(self._jobs, self.batch_tokens, self._share)
            waiting = [job for job in self._jobs if job.unbatched]
            served = {id(job) for job, _ in batch}
            # who had a share of this batch stands behind those who had none
            self._jobs = [job for job in waiting if id(job) not in served]
            self._jobs += [job for job in waiting if id(job) in served]
            if self._jobs:
                self._changed.notify()
            if batch:
                self._batch_sizes.append(len(batch))
        return batch

    def _compute(self, batch: Batch) -> None:
        try:
            scores = self._model.score([ids_of(item) for item in batch])
        except Exception:
            log.exception("a batch of %d texts failed", len(batch))
            fail({id(job): job for job, _ in batch}.values(), "inference failed")
            return
        done: list[Job] = []
        with self._changed:  # two workers may have texts of one job
            for (job, index), score in zip(batch, scores, strict=True):
                job.scores[index] = score
                job.n_scored += 1
                if job.n_scored == len(job.texts):
                    done.append(job)
        for job in done:
            if job.future.set_running_or_notify_cancel():
                job.future.set_result(job.scores)

    def take_batch_sizes(self) -> list[int]:
        """Return the numbers of texts of the batches since the last call."""
        with self._changed:
            sizes, self._batch_sizes = self._batch_sizes, []
        return sizes
