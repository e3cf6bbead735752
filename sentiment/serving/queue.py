"""Queue texts and compute them in batches by length, in threads that share the cores.

Requests that wait together share a batch, so that a busy server computes few large batches and an idle one answers at
once. Each request gets an equal share of every batch: one with thousands of texts does not keep the others waiting.

All state belongs to the event loop, so that nothing needs a lock; only tokenizer and model run in threads. A thread
computes a batch on its share of the cores, as `FrozenEncoder.encode` does.

Why no library does this: LitServe and the batching of Ray Serve form batches by number of texts and by time, and
LitServe has no limit of its queue, so no status 429.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.prediction_log import PredictionLog
from sentiment.serving.schemas import ServingError

MIN_TEXTS = 8  # in smaller batches the fixed costs of a batch weigh more than padding
SHARE = 2 / 3  # of the texts that wait go into one batch, where several are computed at one time
CHARS_PER_TOKEN = 4  # of English, about: batches are formed before their texts are tokenized
# of the tokens of a batch: words of one letter and punctuation have several times as many tokens as their characters
# promise, and the encoder keeps the memory of its largest batch
MAX_OVER_BUDGET = 1.5
TOKENIZE_CHARS = 200_000  # of one batch: 20 MB of memory, whatever a request holds

Scores = NDArray[np.float32]
Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """The texts of one request.

    Attributes:
        future: of the probabilities, shape (n_texts,); canceled when the client hangs up.
        unbatched: indices of the texts that are in no batch yet, the longest text first.
        n_scored: texts whose probability is in `scores`.
    """

    texts: Sequence[str]
    scores: Scores
    future: "asyncio.Future[Scores]"
    unbatched: list[int]
    n_scored: int = 0


Batch = list[tuple[Job, int]]  # a job and the index of one of its texts


class TextQueue:
    """Accepts texts on the event loop, which must run, and computes them in threads.

    Args:
        classifier: that answers.
        max_texts: that wait or are computed; an empty queue takes a request of any size.
        batch_chars: characters of a batch that the encoder reads; None for what suits the device.
        on_batch: called with the number of texts of each batch.
        log: to which each prediction is appended.

    Attributes:
        n_texts: that wait or are computed.
        is_open: whether texts are accepted.
        batch_tokens: of a batch, about.
    """

    def __init__(
        self,
        classifier: SentimentClassifier,
        max_texts: int,
        batch_chars: int | None = None,
        on_batch: Callable[[int], object] = lambda n_texts: None,
        log: PredictionLog | None = None,
    ) -> None:
        import torch  # seconds, which the checks of arguments do without

        from sentiment.encoder.frozen import TOKEN_BUDGET, n_workers
        from sentiment.numerics.memory import use_threads

        encoder = classifier.encoder
        n_threads = torch.get_num_threads()
        self._n_at_once = n_workers(n_threads) if encoder.has_batch_per_thread else 1
        self._share = 1.0 if self._n_at_once == 1 else SHARE
        self.batch_tokens = TOKEN_BUDGET[encoder.device.type]
        self._batch_chars = batch_chars or CHARS_PER_TOKEN * self.batch_tokens
        self._read_chars = CHARS_PER_TOKEN * encoder.config.max_length
        self._max_texts = max_texts
        self._on_batch = on_batch
        self._log = log
        self._jobs: list[Job] = []  # without an answer, the longest waiting first
        self._running: set[asyncio.Future[Scores]] = set()  # a batch each
        self.classifier = classifier
        self.n_texts = 0
        self.is_open = True
        threads_each = max(1, n_threads // self._n_at_once)
        self._pool = ThreadPoolExecutor(self._n_at_once, "model", initializer=use_threads, initargs=(threads_each,))

    def check_capacity(self, n_texts: int) -> None:
        """Refuse texts that find no free slots: raise ServingError, 429; or 503 after `close`."""
        if not self.is_open:
            raise ServingError(503, "the server is shutting down")
        if self.n_texts and self.n_texts + n_texts > self._max_texts:
            raise ServingError(
                429, f"the queue is full: {self.n_texts:,} texts wait, the limit is {self._max_texts:,}; try again"
            )

    async def score(self, texts: Sequence[str]) -> Scores:
        """Return the probability of "positive" of each text, float32 of shape (n_texts,); canceling frees their slots.

        Raises:
            ServingError: as `check_capacity`; 424 where the model fails.
        """
        if not texts:
            return np.empty(0, dtype=np.float32)
        self.check_capacity(len(texts))
        longest_first = sorted(range(len(texts)), key=lambda index: len(texts[index]), reverse=True)
        future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        job = Job(texts, np.empty(len(texts), dtype=np.float32), future, longest_first)
        self._jobs.append(job)
        self.n_texts += len(texts)
        self._start_batches()
        try:
            return await future
        finally:
            self.n_texts -= len(texts)
            self._jobs.remove(job)

    async def run(self, function: Callable[[], Result], n_texts: int) -> Result:
        """Return what `function` returns in a thread of the model, between two batches; errors as `score`."""
        self.check_capacity(n_texts)
        self.n_texts += n_texts
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        except Exception:
            log.exception("a call for %d texts failed", n_texts)
            raise ServingError(424, "inference failed") from None
        finally:
            self.n_texts -= n_texts

    async def close(self) -> None:
        """Accept nothing more, compute what was accepted, end the threads."""
        self.is_open = False
        while self._running:  # the end of a batch starts the next one
            await asyncio.wait(self._running)
        self._pool.shutdown()

    def _start_batches(self) -> None:
        """Start batches of what waits, at most as many as there are threads."""
        while len(self._running) < self._n_at_once:
            batch = next_batch(self._jobs, self._batch_chars, self._read_chars, self._share)
            if not batch:
                return
            served = {job for job, _ in batch}
            # who had a share of this batch stands behind those who had none
            self._jobs.sort(key=served.__contains__)
            self._on_batch(len(batch))
            texts = [job.texts[index] for job, index in batch]
            computed = asyncio.get_running_loop().run_in_executor(
                self._pool, score_texts, self.classifier, texts, self._log
            )
            self._running.add(computed)
            computed.add_done_callback(partial(self._end_batch, batch))

    def _end_batch(self, batch: Batch, computed: "asyncio.Future[Scores]") -> None:
        """Start the next batch, and answer the jobs that this one completes."""
        self._running.discard(computed)
        try:
            scores = computed.result()
        except Exception:
            log.exception("a batch of %d texts failed", len(batch))
            for job, _ in batch:
                job.unbatched.clear()
                if not job.future.done():
                    job.future.set_exception(ServingError(424, "inference failed"))
            self._start_batches()
            return
        self._start_batches()  # before the answers, which take milliseconds
        for (job, index), score in zip(batch, scores, strict=True):
            job.scores[index] = score
            job.n_scored += 1
            if job.n_scored == len(job.texts) and not job.future.done():
                job.future.set_result(job.scores)


def next_batch(jobs: Sequence[Job], batch_chars: int, read_chars: int, share: float = 1.0) -> Batch:
    """Return texts of the jobs by length, and take them out of `unbatched`; at least one text where there is one.

    Texts of one length need no padding, which costs up to a quarter of the time. So a batch has the text that waits the
    longest and, of the others, those whose length is nearest to it; the rest waits for the next batch. Nothing waits
    forever: each batch takes the oldest.

    Args:
        jobs: the longest waiting first.
        batch_chars: the most characters of a batch that the encoder reads, unless it is one text.
        read_chars: the most characters of a text that the encoder reads.
        share: of the texts that wait, to take at most; more than that where it would be fewer than `MIN_TEXTS`.
    """

    def length(item: tuple[Job, int]) -> int:
        job, index = item
        return min(len(job.texts[index]), read_chars)

    waiting: Batch = []
    n_chars = 0
    for item in in_turn(jobs):
        n_chars += length(item)
        if waiting and n_chars > batch_chars / share:
            break
        waiting.append(item)
    if not waiting:
        return []
    oldest = waiting[0]
    nearest = sorted(waiting[1:], key=lambda item: abs(length(item) - length(oldest)))
    batch, n_chars, n_to_tokenize = [oldest], length(oldest), text_size(oldest)
    for item in nearest[: max(MIN_TEXTS, round(len(waiting) * share)) - 1]:
        n_chars += length(item)
        n_to_tokenize += text_size(item)
        if n_chars > batch_chars or n_to_tokenize > TOKENIZE_CHARS:
            break
        batch.append(item)
    for job, index in batch:
        job.unbatched.remove(index)
    return batch


def in_turn(jobs: Sequence[Job]) -> Iterator[tuple[Job, int]]:
    """Yield what the jobs wait for, a text of each in turn."""
    depth = 0
    while deep := [job for job in jobs if len(job.unbatched) > depth]:
        yield from [(job, job.unbatched[depth]) for job in deep]
        depth += 1


def text_size(item: tuple[Job, int]) -> int:
    """Return the number of characters of a text."""
    job, index = item
    return len(job.texts[index])


def find_too_long(classifier: SentimentClassifier, texts: Sequence[str]) -> tuple[int, int] | None:
    """Return index and number of tokens of the first text of which the encoder reads the beginning only."""
    encoder = classifier.encoder
    for index, text in enumerate(classifier.clean(texts)):  # one by one: tokens take 100 bytes a character
        if len(encoder.tokenize([text])[0]) < encoder.config.max_length:
            continue
        [tokens] = encoder.tokenize_with_offsets([text])
        if tokens.is_truncated:
            return index, len(tokens.ids)
    return None


def score_texts(classifier: SentimentClassifier, texts: Sequence[str], log: PredictionLog | None = None) -> Scores:
    """Return the probability of "positive" of each text, as `predict_proba` does, and note it in `log`. # (n_texts,)

    Raises:
        ClassifierError: the encoder's features are not finite.
    """
    import torch

    from sentiment.encoder.frozen import TOKEN_BUDGET, token_batches

    encoder = classifier.encoder
    budget = round(MAX_OVER_BUDGET * TOKEN_BUDGET[encoder.device.type])
    with torch.inference_mode():
        cleaned = classifier.clean(texts)
        token_ids, whole_ids = encoder.tokenize_whole(cleaned) if log else classifier.tokenize(cleaned)
        lengths = [len(ids) for ids in token_ids]
        scores = np.empty(len(texts), dtype=np.float32)
        order = sorted(range(len(texts)), key=lengths.__getitem__)  # equal lengths need no mask
        fits = len(texts) * max(lengths, default=0) <= budget
        for indices in [order] if fits else token_batches(lengths, budget):
            features = encoder.model.encode([token_ids[index] for index in indices], encoder.config.pooling)
            scores[indices] = classifier.score(features.cpu().numpy(), [whole_ids[index] for index in indices])
    if log:
        log.write(cleaned, whole_ids, scores)
    return scores
