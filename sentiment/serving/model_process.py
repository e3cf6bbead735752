"""A model in a process of its own, for a worker of a busy server.

Python runs one thread at a time, so that a worker's thread waits between two operations of torch while the event loop
answers requests. A process has an interpreter of its own: 1.2 times the requests a second on 2 cores
(`python -m benchmarks.serving`).
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from itertools import chain
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from sentiment.common.child_process import ChildProcess
from sentiment.common.errors import one_line
from sentiment.inference.classifier import SentimentClassifier
from sentiment.serving.scores import Scores, TokenIds, score_token_ids

ANSWER_SECONDS = 60  # for a batch, which takes a fraction of a second

log = logging.getLogger(__name__)

Load = Callable[[], SentimentClassifier]


class ModelProcessError(Exception):
    """The process ended, or did not answer in time."""


class ModelProcess:
    """Computes batches in another process, which ends with this one.

    Args:
        load: loads the classifier; pickled.
        classifier: that `load` returned here. A process that loads another one, because the files have changed since,
            is not used.
        n_threads: of torch in the process.
    """

    def __init__(self, load: Load, classifier: SentimentClassifier, n_threads: int) -> None:
        self._expected = identity(classifier)
        self._child = ChildProcess(work, load, n_threads)
        self._is_ready = False

    def is_ready(self) -> bool:
        """Return whether it has loaded the model; does not wait.

        Raises:
            ModelProcessError: it ended, or has loaded another classifier.
        """
        if not self._is_ready and self._child.connection.poll():
            loaded = self._receive()
            if isinstance(loaded, Exception):
                raise ModelProcessError(one_line(loaded))
            if loaded != self._expected:
                raise ModelProcessError("the classifier's files have changed since the server started")
            self._is_ready = True
            log.info("a busy worker goes on in process %d", self._child.process.pid)
        return self._is_ready

    def score(self, token_ids: Sequence[TokenIds]) -> Scores:
        """Return the probability of "positive" of each text, shape (n_texts,).

        Raises:
            ModelProcessError: the process ended, or did not answer in time.
            Exception: that the model raised.
        """
        try:
            self._child.connection.send(token_ids)
        except OSError as error:
            raise ModelProcessError(f"it ended: {error}") from None
        if not self._child.connection.poll(ANSWER_SECONDS):
            raise ModelProcessError(f"no answer within {ANSWER_SECONDS} s")
        answer = self._receive()
        if isinstance(answer, Exception):
            raise answer
        scores: Scores = answer
        return scores

    def _receive(self) -> Any:
        try:
            received = self._child.connection.recv()
        except (EOFError, OSError):
            raise ModelProcessError("it ended") from None
        return received

    def close(self) -> None:
        """End the process."""
        self._child.stop()


def identity(classifier: SentimentClassifier) -> str:
    """Return the SHA-256 of the head and of its config, which names the fingerprint of its encoder."""
    head = classifier.classifier
    digest = hashlib.sha256(head.config.model_dump_json().encode())
    for array in (head.mean, head.std, *chain.from_iterable(head.layers)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def work(connection: Connection, load: Load, n_threads: int) -> None:
    """Load the model, say what it is, and compute the batches that arrive until the other side closes or dies."""
    import torch

    torch.set_num_threads(n_threads)
    try:
        classifier = load()
    except Exception as error:  # which the worker logs
        connection.send(error)
        return
    connection.send(identity(classifier))
    while True:
        token_ids = connection.recv()
        try:
            answer: Scores | Exception = score_token_ids(classifier, token_ids)
        except Exception as error:  # which the worker raises
            answer = error
        connection.send(answer)
