"""Copy the encoder that `finetune.encoder` names, from a folder or from the Hugging Face Hub.

The folder holds an encoder as transformers saves it; or a pointer, `hub.json`, to one on the Hugging Face Hub:

    {"id": "albert/albert-base-v1", "commit": "082438ba120d36b97b9288772a41144e941705b9", "sha256": "..."}

The commit makes the encoder the same for everyone; `sha256`, of model.safetensors, is optional, and is checked.
huggingface_hub downloads it, with its own cache and its variables HF_ENDPOINT, HF_HUB_OFFLINE and HF_TOKEN.
"""

import logging
import shutil
import sys
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from sentiment.common.errors import EncoderError, one_line
from sentiment.encoder.config import ENCODER_FILES, WEIGHTS, check_weights, copy_files, weights_sha256

POINTER = "hub.json"
MAX_REASON = 300  # characters of an error of the Hub
CONNECT_TIMEOUT_S = 15


class Pointer(BaseModel):
    """hub.json.

    Attributes:
        id: of a model on the Hugging Face Hub.
        commit: in full.
        sha256: of its model.safetensors.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


def read_pointer(folder: Path) -> Pointer | None:
    """Return what the folder's hub.json says; None where it has none.

    Raises:
        EncoderError: hub.json is no such pointer.
    """
    file = folder / POINTER
    if not file.is_file():
        return None
    try:
        return Pointer.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise EncoderError(f"{file}: {key or 'content'}: {one_line(ValueError(first['msg']))}") from None


def copy_encoder_files(folder: Path, target: Path) -> None:
    """Copy an encoder, byte for byte, into the existing folder `target`; from the Hub where `folder` is a pointer.

    Raises:
        EncoderError: the folder is missing or incomplete; the Hub cannot be reached, or gives other weights.
    """
    if not folder.is_dir():
        raise EncoderError(f"finetune.encoder '{folder}' is no folder; expected one of models/encoders")
    pointer = read_pointer(folder)
    if pointer is None:
        check_weights(folder)
        others = shutil.ignore_patterns(".*", "__pycache__", "README.md")  # a card changes no feature; see .dvcignore
        shutil.copytree(folder, target, dirs_exist_ok=True, ignore=others, copy_function=shutil.copyfile)
        return
    copy_files(download(folder / POINTER, pointer), target)
    check_weights(target)
    check_hash(pointer, target, str(folder / POINTER))


def check_hash(pointer: Pointer, folder: Path, name: str) -> None:
    """Raise EncoderError, beginning with `name`, where the pointer names a hash and the weights in `folder` differ."""
    if pointer.sha256 is None:
        return
    if not (folder / WEIGHTS).is_file():
        raise EncoderError(f"{name}: no {WEIGHTS}; remove sha256 from {POINTER}, or name another model")
    if (actual := weights_sha256(folder)) != pointer.sha256:
        raise EncoderError(f"{name}: {WEIGHTS} has SHA-256 {actual}, expected {pointer.sha256}")


def download(file: Path, pointer: Pointer) -> Path:
    """Return the folder in the cache of huggingface_hub with the encoder's files at the pointer's commit.

    Raises:
        EncoderError: the Hub cannot be reached, or has no such model or commit.
    """
    from huggingface_hub import constants, get_session, snapshot_download  # a quarter of a second: only for a pointer
    from huggingface_hub.utils.tqdm import disable_progress_bars

    # importing it turned its warnings on again; the error below has their content
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        disable_progress_bars()
    unreachable: Exception | None = None
    try:
        get_session().head(constants.ENDPOINT, timeout=CONNECT_TIMEOUT_S)  # snapshot_download would ask for 23 s
    except Exception as error:  # of its HTTP client, which is no dependency of this project
        unreachable = error
    patterns, is_local = list(ENCODER_FILES), unreachable is not None
    try:
        return Path(
            snapshot_download(pointer.id, revision=pointer.commit, allow_patterns=patterns, local_files_only=is_local)
        )
    except Exception as error:
        cause = unreachable or error.__cause__ or error
        raise EncoderError(
            f"{file}: {pointer.id} at {pointer.commit[:12]} could not be downloaded: {one_line(cause)[:MAX_REASON]}; "
            "without the Hub: `dvc pull models/encoder`, or set finetune.encoder to models/encoders/reviews-albert"
        ) from None
