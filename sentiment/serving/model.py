"""What a worker computes: token ids of texts, and probabilities of batches of token ids."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sentiment.data.text import join_text
from sentiment.inference.classifier import SentimentClassifier

TokenIds = Sequence[int]


class Model(Protocol):
    """A classifier cut in two, so that batches can be formed by tokens."""

    batch_tokens: int
    n_workers: int

    def start_worker(self) -> None:
        """Prepare the calling thread, which is a worker."""

    def tokenize(self, texts: Sequence[str]) -> Sequence[TokenIds]:
        """Return the token ids of each text."""

    def score(self, token_ids: Sequence[TokenIds]) -> NDArray[np.float32]:
        """Return the probability of "positive" of each text, shape (n_texts,)."""


class ServedModel:
    """A SentimentClassifier as the workers use it.

    Attributes:
        classifier: the classifier and its encoder.
        batch_tokens: tokens that a batch has at most.
        n_workers: batches that are computed at one time: as many as `FrozenEncoder.encode` does.
    """

    def __init__(self, classifier: SentimentClassifier, batch_tokens: int | None = None) -> None:
        import torch  # seconds, which the checks of arguments do without

        from sentiment.encoder.frozen import TOKEN_BUDGET
        from sentiment.encoder.parallel import n_workers

        self.classifier = classifier
        encoder = classifier.encoder
        self.batch_tokens = batch_tokens or TOKEN_BUDGET[encoder.device.type]
        self._n_threads = torch.get_num_threads()
        self.n_workers = n_workers(self._n_threads) if encoder.has_batch_per_thread else 1

    def start_worker(self) -> None:
        """Give the calling thread its share of the cores."""
        import torch

        torch.set_num_threads(max(1, self._n_threads // self.n_workers))

    def tokenize(self, texts: Sequence[str]) -> Sequence[TokenIds]:
        """Return the token ids of each text, cut to the encoder's maximum, white space at its ends left out."""
        return self.classifier.encoder.tokenize([join_text([text]) for text in texts])

    def score(self, token_ids: Sequence[TokenIds]) -> NDArray[np.float32]:
        """Return the probability of "positive" of each text, shape (n_texts,), as `predict_proba` does.

        Raises:
            FloatingPointError: a probability is not finite.
        """
        import torch

        encoder = self.classifier.encoder
        with torch.inference_mode():
            features = encoder.model.encode(token_ids, encoder.config.pooling).cpu().numpy()
        probabilities = self.classifier.classifier.predict_proba(features)
        if not np.isfinite(probabilities).all():
            raise FloatingPointError("the encoder's features are not finite")
        return probabilities
