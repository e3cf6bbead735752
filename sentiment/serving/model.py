"""What the model thread computes: token ids of texts, and probabilities of batches of token ids."""

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

    def tokenize(self, texts: Sequence[str]) -> Sequence[TokenIds]:
        """Return the token ids of each text."""

    def score(self, token_ids: Sequence[TokenIds]) -> NDArray[np.float32]:
        """Return the probability of "positive" of each text, shape (n_texts,)."""


class ServedModel:
    """A SentimentClassifier as the model thread uses it.

    Attributes:
        classifier: the classifier and its encoder.
        batch_tokens: tokens that a batch has at most.
    """

    def __init__(self, classifier: SentimentClassifier, batch_tokens: int | None = None) -> None:
        from sentiment.encoder.frozen import TOKEN_BUDGET  # torch: seconds, which the checks of arguments do without

        self.classifier = classifier
        self.batch_tokens = batch_tokens or TOKEN_BUDGET[classifier.encoder.device.type]

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
