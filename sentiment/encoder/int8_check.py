"""Texts and an encoder in; whether int8 is precise enough for it out, by a comparison with int16.

int16 has the quality of float32. Both are exact, so the answer is the same on every machine and may be written into
an output.
"""

import logging
from collections.abc import Sequence
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from sentiment.encoder.frozen import FrozenEncoder

log = logging.getLogger(__name__)

N_TEXTS = 256
MIN_COSINE = 0.998  # below it, an activation much larger than the others takes most of the 8 bits


def int8_min_cosine(encoder: FrozenEncoder, texts: Sequence[str]) -> float | None:
    """Return the least cosine between the int8 and the int16 vector of a text, rounded; logs a line where it is low.

    None where the encoder does not compute in int8. At most the first 256 texts are looked at.
    """
    if encoder.precision != "int8" or not texts:
        return None
    texts = texts[:N_TEXTS]
    precise = FrozenEncoder.load(encoder.config.model_copy(update={"precision": "int16"}), encoder.device.type)
    name = encoder.config.encoder
    cosines = map(cosine, encoder.encode(texts), precise.encode(texts))
    least = round(min(cosines), 6)
    if least < MIN_COSINE:
        log.info(
            "int8 and int16 vectors of '%s' differ (least cosine %.4f): prefer encode.precision=int16", name, least
        )
    return least


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the cosine of two vectors; products of float32 are exact in float64, and `fsum` rounds once."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    dot, square_a, square_b = (
        fsum(product.tolist()) for product in (wide_a * wide_b, wide_a * wide_a, wide_b * wide_b)
    )
    return dot / sqrt(square_a * square_b) if square_a and square_b else float(square_a == square_b)
