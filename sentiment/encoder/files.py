"""Name and check the files of an encoder's folder, as transformers writes it."""

import shutil
from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path

from sentiment.common.errors import EncoderError

TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "spiece.model", "*.spm")
WEIGHTS = "model.safetensors"  # where the weights are one file, as in every small encoder
WEIGHTS_FILES = ("*.safetensors", "*.safetensors.index.json")
ENCODER_FILES = ("config.json", *WEIGHTS_FILES, *TOKENIZER_FILES)  # of any encoder that transformers loads


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
