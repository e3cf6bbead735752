"""Assigns a review to train, val or test by a hash of its own text, and of nothing else."""

from pydantic import Field, model_validator

from sentiment.common.params import StageParams
from sentiment.data.text import hash64, normalize_text


class SplitParams(StageParams):
    """Section `split` of params.yaml.

    Attributes:
        salt: hashed with the text; another salt gives a different split.
        val, test: share of the reviews in each of the two splits; the rest is for training.
    """

    salt: str = Field(min_length=1)
    val: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> "SplitParams":
        if self.val + self.test >= 1:
            raise ValueError("val + test below 1, or nothing is left to train on")
        return self


def text_hash(text: str, salt: str) -> int:
    """Return the 64-bit hash of the salt and the normalized text; `assign_split` reads it."""
    return hash64(salt, normalize_text(text))


def assign_split(value: int, params: SplitParams) -> str:
    """Return "train", "val" or "test" for a hash: the hash over 2**64 is uniform between 0 and 1.

    >>> params = SplitParams(salt="reviews-v1", val=0.1, test=0.1)
    >>> [assign_split(value, params) for value in (0, 2**64 // 8, 2**64 - 1)]
    ['test', 'val', 'train']
    """
    u = value / 2**64
    if u < params.test:
        return "test"
    return "val" if u < params.test + params.val else "train"
