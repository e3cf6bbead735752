"""What a worker computes: token ids of texts, and probabilities of batches of token ids."""

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from sentiment.data.text import join_text
from sentiment.inference.classifier import SentimentClassifier
from sentiment.serving.model_process import Load, ModelProcess, ModelProcessError
from sentiment.serving.scores import Scores, TokenIds, score_token_ids

BUSY_TEXTS = 500  # that a worker computes before it starts a process, which takes some 3 s of a core and 200 MiB

log = logging.getLogger(__name__)


class Model(Protocol):
    """A classifier cut in two, so that batches can be formed by tokens."""

    batch_tokens: int
    n_workers: int

    def start_worker(self) -> None:
        """Prepare the calling thread, which is a worker."""

    def end_worker(self) -> None:
        """Release what the calling thread holds."""

    def tokenize(self, texts: Sequence[str]) -> Sequence[TokenIds]:
        """Return the token ids of each text."""

    def score(self, token_ids: Sequence[TokenIds]) -> Scores:
        """Return the probability of "positive" of each text, shape (n_texts,)."""


class ServedModel:
    """A SentimentClassifier as the workers use it.

    A worker computes in its own thread at first. Once it has been busy, it starts a process for its batches, where
    `load` is given; it goes on in its thread until that is ready, and again where that has ended. The answers are the
    same bytes.

    Args:
        classifier: the classifier and its encoder.
        batch_tokens: tokens that a batch has at most; None for what suits the device.
        load: loads the same classifier in another process.

    Attributes:
        n_workers: batches that are computed at one time: as many as `FrozenEncoder.encode` does.
    """

    def __init__(
        self, classifier: SentimentClassifier, batch_tokens: int | None = None, load: Load | None = None
    ) -> None:
        import torch  # seconds, which the checks of arguments do without

        from sentiment.encoder.frozen import TOKEN_BUDGET, n_workers

        self.classifier = classifier
        encoder = classifier.encoder
        self.batch_tokens = batch_tokens or TOKEN_BUDGET[encoder.device.type]
        n_threads = torch.get_num_threads()
        self.n_workers = n_workers(n_threads) if encoder.has_batch_per_thread else 1
        self._n_threads = max(1, n_threads // self.n_workers)
        self._load = load if self.n_workers > 1 else None
        self._worker = Worker()

    def start_worker(self) -> None:
        """Give the calling thread its share of the cores."""
        from sentiment.numerics.memory import use_threads

        use_threads(self._n_threads)

    def end_worker(self) -> None:
        """End the calling thread's process."""
        if self._worker.process:
            self._worker.process.close()
            self._worker.process = None

    def tokenize(self, texts: Sequence[str]) -> Sequence[TokenIds]:
        """Return the token ids of each text, cut to the encoder's maximum, white space at its ends left out."""
        return self.classifier.encoder.tokenize([join_text([text]) for text in texts])

    def score(self, token_ids: Sequence[TokenIds]) -> Scores:
        """Return the probability of "positive" of each text, shape (n_texts,), as `predict_proba` does.

        Raises:
            FloatingPointError: a probability is not finite.
        """
        if process := self._ready_process():
            try:
                return process.score(token_ids)
            except ModelProcessError as error:
                log.warning("a model process is replaced: %s", error)
                self.end_worker()
        self._worker.n_texts += len(token_ids)
        return score_token_ids(self.classifier, token_ids)

    def _ready_process(self) -> ModelProcess | None:
        worker = self._worker
        if self._load and worker.process is None and worker.n_texts >= BUSY_TEXTS:
            worker.n_texts = 0  # that many again before the next one, should it end
            worker.process = ModelProcess(self._load, self.classifier, self._n_threads)
        try:
            return worker.process if worker.process and worker.process.is_ready() else None
        except ModelProcessError as error:
            log.warning("models stay in the server's process: %s", error)
            self._load = None
            self.end_worker()
            return None


class Worker(threading.local):
    """What belongs to the calling thread.

    Attributes:
        n_texts: computed in the thread since it began, or since it started a process.
        process: for its batches, which may not be ready.
    """

    n_texts = 0
    process: ModelProcess | None = None
