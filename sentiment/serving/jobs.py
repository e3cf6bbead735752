"""What waits for a worker: the texts of requests, and calls."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sentiment.serving.errors import InferenceFailedError
from sentiment.serving.scores import Scores, TokenIds

log = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(eq=False)
class Job:
    """The texts of one request.

    Attributes:
        future: of the probabilities, shape (n_texts,); canceled when the client hangs up.
        token_ids: of each text; empty until a worker has tokenized the job.
        unbatched: indices of the texts that are in no batch yet, the longest text first.
        n_scored: texts whose probability is in `scores`.
    """

    texts: Sequence[str]
    scores: Scores
    future: "Future[Scores]" = field(default_factory=Future)
    token_ids: Sequence[TokenIds] = ()
    unbatched: deque[int] = field(default_factory=deque)
    n_scored: int = 0

    def set_token_ids(self, token_ids: Sequence[TokenIds]) -> None:
        """Note the token ids of the texts, all of which are then to be batched."""
        self.token_ids = token_ids
        self.unbatched.extend(sorted(range(len(token_ids)), key=lambda index: -len(token_ids[index])))


@dataclass(eq=False)
class Call(Generic[Result]):
    """A function for a worker.

    Attributes:
        function: without arguments.
        n_texts: slots that it occupies in the queue.
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


def tokenize(jobs: Sequence[Job], function: Callable[[Sequence[str]], Sequence[TokenIds]]) -> None:
    """Give the jobs their token ids, from one call of `function`; or an error for an answer where it raises one."""
    if not jobs:
        return
    try:
        token_ids = function([text for job in jobs for text in job.texts])
    except Exception:
        log.exception("tokenizing %d requests failed", len(jobs))
        fail(jobs, "the texts could not be tokenized")
        return
    start = 0
    for job in jobs:
        job.set_token_ids(token_ids[start : start + len(job.texts)])
        start += len(job.texts)


def fail(jobs: Iterable[Job], message: str) -> None:
    """Give the jobs an error for an answer."""
    for job in jobs:
        if job.future.set_running_or_notify_cancel():
            job.future.set_exception(InferenceFailedError(message))
