"""Test texts and an encoder in; how many of them it was trained on out, and an error where that is too many."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sentiment.common.errors import InputError
from sentiment.common.text_hash import SEEN_TEXTS, hash_texts, read_seen_texts


def count_seen(texts: Sequence[str], encoder: Path) -> int:
    """Return how many of the texts are in the list of an encoder's folder; 0 where it has no list.

    Raises:
        EncoderError: the list is damaged.
    """
    seen = read_seen_texts(encoder)
    return int(np.isin(hash_texts(texts), seen).sum()) if len(seen) else 0


def refuse_leakage(n_seen: int, n_test: int, encoder: Path, allowed: bool) -> None:
    """Raise InputError where the encoder saw test reviews and that is not allowed."""
    if n_seen and not allowed:
        raise InputError(
            f"{encoder / SEEN_TEXTS}: the encoder was trained on {n_seen:,} of the {n_test:,} test reviews; "
            "use the split that it was trained on, or another encoder, or set evaluate.allow_leakage to true"
        )
