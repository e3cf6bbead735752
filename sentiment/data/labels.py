"""Name the labels, and choose between them by thresholds on the probability of "positive"."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

LABELS: tuple[Literal["negative"], Literal["positive"]] = ("negative", "positive")  # names of the labels 0 and 1
UNSURE = "unsure"  # the answer between two thresholds, where a classifier has them


def predict_labels(probabilities: NDArray[np.float32], threshold: float) -> NDArray[np.int8]:
    """Return 1 for each probability of at least `threshold`, else 0; 0 for NaN. # (n_samples,)

    Compared as float32 everywhere, so that a probability on the threshold has one label.
    """
    return (probabilities >= np.float32(threshold)).astype(np.int8)


def is_unsure(probabilities: NDArray[np.float32], unsure: tuple[float, float] | None) -> NDArray[np.bool_]:
    """Return whether each probability is from the first bound on and below the second. # (n_samples,)"""
    low, high = unsure or (0.0, 0.0)
    return (probabilities >= np.float32(low)) & (probabilities < np.float32(high))
