"""Assign a review to train, val or test by a hash of its text and the salt."""

from pydantic import Field, model_validator

from sentiment.common.params import StageParams
from sentiment.data.text import hash64, normalize_text


class SplitParams(StageParams):
    """Section `split` of params.yaml.

    Attributes:
        salt: hashed with the text; another salt gives a different split.
        val, test: share of the reviews in each of the two splits; the others are for training.
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


def assign_split(hashed: int, params: SplitParams) -> str:
    """Return "train", "val" or "test" for a hash of `text_hash`.

    u = hash / 2**64 is uniform in [0, 1): test below `test`, val in the next `val`, train above.

    >>> params = SplitParams(salt="reviews-v1", val=0.1, test=0.1)
    >>> [assign_split(hashed, params) for hashed in (0, 2**64 // 8, 2**64 - 1)]
    ['test', 'val', 'train']
    """
    u = hashed / 2**64
    if u < params.test:
        return "test"
    return "val" if u < params.test + params.val else "train"
