"""Token ids in, probabilities out: what a batch costs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sentiment.inference.classifier import SentimentClassifier

TokenIds = Sequence[int]
Scores = NDArray[np.float32]


def score_token_ids(classifier: SentimentClassifier, token_ids: Sequence[TokenIds]) -> Scores:
    """Return the probability of "positive" of each text, shape (n_texts,), as `predict_proba` does.

    Raises:
        FloatingPointError: a probability is not finite.
    """
    import torch

    encoder = classifier.encoder
    with torch.inference_mode():
        features = encoder.model.encode(token_ids, encoder.config.pooling).cpu().numpy()
    probabilities = classifier.classifier.predict_proba(features)
    if not np.isfinite(probabilities).all():
        raise FloatingPointError("the encoder's features are not finite")
    return probabilities
