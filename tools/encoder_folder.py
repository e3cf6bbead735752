"""Find the folder of a published encoder, and write a trained one as a folder that transformers loads."""

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sentiment.common.errors import EncoderError
from sentiment.common.files import atomic
from sentiment.data.text import Hashes, write_seen_texts
from sentiment.encoder.config import weights_sha256


@contextmanager
def model_folder(name: str) -> Iterator[Path]:
    """Yield the folder `name`, or the unpacked `model.zip` of an installed package; raises EncoderError for neither."""
    if Path(name).is_dir():
        yield Path(name)
        return
    try:
        files = distribution(name).files or []
    except (PackageNotFoundError, ValueError):
        files = []
    archives = [Path(str(file.locate())) for file in files if file.name == "model.zip"]
    if not archives:
        raise EncoderError(f"'{name}' is not a folder and not an installed package with an encoder; install it first")
    with tempfile.TemporaryDirectory(prefix="source-encoder-") as folder:
        zipfile.ZipFile(archives[0]).extractall(folder)
        yield Path(folder)


def export(model: Any, write_tokenizer: Callable[[Path], object], hashes: Hashes, folder: Path) -> str:
    """Write weights (float16), config, tokenizer and the hashes of the training texts; return the weights' SHA-256.

    Each file is replaced as a whole. Other files in `folder`, such as the model card, stay.

    Args:
        model: transformers' encoder, without a head.
        write_tokenizer: called with a folder to write its files into.
        hashes: of the texts that the model was trained on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="encoder-", dir=folder.parent) as name:
        staging = Path(name)
        nn.Module.to(model, "cpu", torch.float16)  # transformers' own `to` is not typed
        model.save_pretrained(staging)
        write_tokenizer(staging)
        write_seen_texts(staging, hashes)
        for file in sorted(staging.iterdir()):
            with atomic(folder / file.name) as partial:
                shutil.copyfile(file, partial)
    return weights_sha256(folder)
