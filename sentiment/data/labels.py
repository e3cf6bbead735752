"""Name the two labels, and choose between them by a threshold on the probability of "positive"."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

LABELS: tuple[Literal["negative"], Literal["positive"]] = ("negative", "positive")  # names of the labels 0 and 1


def predict_labels(probabilities: NDArray[np.float32], threshold: float) -> NDArray[np.int8]:
    """Return 1 for each probability of at least `threshold`, else 0; 0 for NaN. # (n_samples,)

    Compared as float32 everywhere, so that a probability on the threshold has one label.
    """
    return (probabilities >= np.float32(threshold)).astype(np.int8)
