"""What waits for the model thread: texts of requests, and calls; and how texts share a batch."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from sentiment.serving.errors import InferenceFailedError
from sentiment.serving.model import TokenIds

log = logging.getLogger(__name__)

Scores = NDArray[np.float32]
Result = TypeVar("Result")


@dataclass(eq=False)
class Job:
    """The texts of one request.

    Attributes:
        future: of the probabilities, shape (n_texts,); canceled when the client hangs up.
        token_ids: of each text; None until the model thread has seen the job.
        n_batched: texts that are in a batch, or were.
        n_scored: texts whose probability is in `scores`.
    """

    texts: Sequence[str]
    scores: Scores
    future: "Future[Scores]" = field(default_factory=Future)
    token_ids: Sequence[TokenIds] | None = None
    n_batched: int = 0
    n_scored: int = 0


@dataclass(eq=False)
class Call(Generic[Result]):
    """A function for the model thread.

    Attributes:
        function: without arguments.
        n_texts: places that it takes in the queue.
        future: of its result; canceled when the client hangs up.
    """

    function: Callable[[], Result]
    n_texts: int
    future: "Future[Result]" = field(default_factory=Future)

    def run(self) -> None:
        """Call the function, unless it was canceled."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.function())
        except Exception:
            log.exception("a call for %d texts failed", self.n_texts)
            self.future.set_exception(InferenceFailedError("inference failed"))


Batch = list[tuple[Job, int]]  # a job and the index of one of its texts


def ids_of(item: tuple[Job, int]) -> TokenIds:
    """Return the token ids of a text that has been tokenized."""
    job, index = item
    assert job.token_ids is not None
    return job.token_ids[index]


def next_batch(jobs: Sequence[Job], batch_tokens: int) -> Batch:
    """Return texts of the jobs in turn, one each, until they have `batch_tokens` tokens; at least one text."""
    batch: Batch = []
    n_tokens = 0
    waiting = list(jobs)
    while waiting:
        for job in waiting:
            item = (job, job.n_batched)
            n_tokens += len(ids_of(item))
            if batch and n_tokens > batch_tokens:
                return batch
            batch.append(item)
            job.n_batched += 1
        waiting = [job for job in waiting if job.n_batched < len(job.texts)]
    return batch


def fail(jobs: Sequence[Job], message: str) -> None:
    """Give the jobs an error for an answer."""
    for job in jobs:
        if job.future.set_running_or_notify_cancel():
            job.future.set_exception(InferenceFailedError(message))
