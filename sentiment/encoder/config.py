"""Describe an encoder without torch: the files of its folder, and what decides a feature vector besides them."""

import shutil
from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Literal

from pydantic import Field

from sentiment.common.errors import EncoderError
from sentiment.common.params import StageParams

Pooling = Literal["cls", "mean", "max", "mean+max"]
Precision = Literal["auto", "int8", "int16", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda", "mps"]

MAX_UNKNOWN, MAX_TRUNCATED = 0.05, 0.25  # above which a warning is logged

TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "spiece.model", "*.spm")
WEIGHTS = "model.safetensors"  # where the weights are one file, as in every small encoder
WEIGHTS_FILES = ("*.safetensors", "*.safetensors.index.json")
ENCODER_FILES = ("config.json", *WEIGHTS_FILES, *TOKENIZER_FILES)  # of any encoder that transformers loads


class PoolingConfig(StageParams):
    """How a text becomes tokens, and token vectors become one vector.

    Attributes:
        max_length: tokens kept of each text, special tokens included.
        pooling: how token vectors become one vector.
    """

    max_length: int = Field(ge=3, le=8192)
    pooling: Pooling


class EncoderConfig(PoolingConfig):
    """The settings that change an encoder's output.

    Attributes:
        precision: "int8" and "int16" compute a BERT or an ALBERT in integers, with the same bits on every processor;
            the others in floats, whose last digits depend on it. "auto" is int8 for a BERT or an ALBERT and float32 for
            any other encoder.
    """

    precision: Precision


class Coverage(StageParams):
    """How much of texts an encoder reads.

    Attributes:
        texts: how many were looked at.
        unknown_tokens: share of their tokens that the vocabulary lacks, as many emoji, accents and other alphabets are.
        truncated_texts: share of the texts with more than `max_length` tokens.
    """

    texts: int
    unknown_tokens: float
    truncated_texts: float

    def warnings(self, max_length: int) -> list[str]:
        """Return a line for each share that is large enough to cost accuracy."""
        lines = []
        if self.unknown_tokens > MAX_UNKNOWN:
            lines.append(f"{self.unknown_tokens:.0%} of the tokens are unknown to the encoder: other letters or emoji")
        if self.truncated_texts > MAX_TRUNCATED:
            lines.append(f"{self.truncated_texts:.0%} of the texts are longer than {max_length} tokens: cut there")
        return lines


class FeatureMetadata(StageParams):
    """Saved beside encoded features and in the classifier: how to compute a feature vector again.

    Attributes:
        config: the encoder's settings.
        fingerprint: SHA-256 of the encoder's weights, config and tokenizer.
        dim: of a feature vector.
        text_columns: the columns joined into a text.
        decode_html: whether entities were decoded in a text, and tags removed.
        int8_min_cosine: the least cosine between the int8 and the int16 vector of a text, among the first 128 texts of
            train; null in another precision.
        coverage: of the first 2,048 texts of train; null in the files of older versions.
    """

    config: EncoderConfig
    fingerprint: str
    dim: int = Field(ge=1)
    text_columns: tuple[str, ...]
    decode_html: bool = False
    int8_min_cosine: float | None = None
    coverage: Coverage | None = None


class EncodeParams(EncoderConfig):
    """Section `encode` of params.yaml: the settings of EncoderConfig, and the device that the encoder runs on."""

    device: Device

    def encoder_config(self) -> EncoderConfig:
        """Return what decides the vectors, without the device."""
        return EncoderConfig(**self.model_dump(exclude={"device"}))


def check_weights(folder: Path) -> None:
    """Raise EncoderError when a folder lacks its config or its safetensors weights."""
    if not (folder / "config.json").is_file():
        raise EncoderError(f"{folder / 'config.json'}: no such file; expected a Hugging Face encoder folder")
    if not any(folder.glob("*.safetensors")):
        restore = f"`git checkout {folder}` or `dvc checkout {folder}`"
        raise EncoderError(f"{folder}: no safetensors weights; {restore}, or save them as safetensors")


def weights_sha256(folder: Path) -> str:
    """Return the SHA-256 of model.safetensors; raises FileNotFoundError where the weights are several files."""
    with (folder / WEIGHTS).open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def copy_files(source: Path, target: Path, patterns: Sequence[str] = ENCODER_FILES) -> None:
    """Copy the files of `source` that match one of the patterns into the existing folder `target`."""
    for path in sorted({path for pattern in patterns for path in source.glob(pattern)}):
        shutil.copyfile(path, target / path.name)
