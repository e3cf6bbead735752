"""What decides a feature vector: the encoder, and how texts go into it. Imports no torch."""

from typing import Literal

from pydantic import Field

from sentiment.common.params import Section

Pooling = Literal["cls", "mean", "max", "mean+max"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda", "mps"]


class EncoderSpec(Section):
    """The settings of an encoder that change its output.

    Attributes:
        encoder: a local folder, or a Hugging Face id.
        revision: the commit of a Hugging Face id; null for a folder.
        max_length: tokens kept of each text, special tokens included.
        pooling: how token vectors become one vector.
        precision: "auto" is bfloat16 on CUDA and float32 elsewhere.
    """

    encoder: str = Field(min_length=1)
    revision: str | None
    max_length: int = Field(ge=3, le=8192)
    pooling: Pooling
    precision: Precision


class FeaturesInfo(Section):
    """What stands beside encoded features and later in the classifier: how to make such a vector again.

    Attributes:
        spec: the encoder's settings.
        fingerprint: SHA-256 of the encoder's weights.
        width: numbers a vector.
        text_columns: the columns joined into a text.
    """

    spec: EncoderSpec
    fingerprint: str
    width: int = Field(ge=1)
    text_columns: tuple[str, ...]
