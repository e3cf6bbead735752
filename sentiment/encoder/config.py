"""The settings that determine a feature vector: the encoder, and how texts are fed to it. Imports no torch."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from sentiment.common.params import StageParams

Pooling = Literal["cls", "mean", "max", "mean+max"]
Precision = Literal["auto", "int8", "int16", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda", "mps"]


class EncoderConfig(StageParams):
    """The settings of an encoder that change its output.

    Attributes:
        encoder: the encoder's folder; a classifier of version 1.0 may name a Hugging Face id.
        revision: the commit of a Hugging Face id; null for a folder.
        max_length: tokens kept of each text, special tokens included.
        pooling: how token vectors become one vector.
        precision: "int8" and "int16" compute a BERT or an ALBERT in integers, with the same bits on every processor;
            the others in floats, whose last digits depend on it. "auto" is int8 for a BERT or an ALBERT and float32 for
            any other encoder.
    """

    encoder: str = Field(min_length=1)
    revision: str | None = None
    max_length: int = Field(ge=3, le=8192)
    pooling: Pooling
    precision: Precision


class FeatureMetadata(StageParams):
    """Saved beside encoded features and in the classifier: how to compute such a vector again.

    Attributes:
        config: the encoder's settings.
        fingerprint: SHA-256 of the encoder's weights, config and tokenizer.
        dim: of a feature vector.
        text_columns: the columns joined into a text.
        int8_min_cosine: the least cosine between the int8 and the int16 vector of a text, among the first 256 texts of
            train; null in another precision.
    """

    config: EncoderConfig
    fingerprint: str
    dim: int = Field(ge=1)
    text_columns: tuple[str, ...]
    int8_min_cosine: float | None = None


class EncodeParams(StageParams):
    """Section `encode` of params.yaml: settings as in EncoderConfig, and the device that the encoder runs on."""

    max_length: int = Field(ge=3, le=8192)
    pooling: Pooling
    precision: Precision
    device: Device

    def encoder_config(self, encoder: Path) -> EncoderConfig:
        """Return what decides the vectors of the encoder in a folder, without the device."""
        return EncoderConfig(encoder=encoder.as_posix(), **self.model_dump(exclude={"device"}))
