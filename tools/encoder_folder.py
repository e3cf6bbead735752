"""A trained model in; a folder out that `AutoModel` and `AutoTokenizer` load without network."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from sentiment.common.files import atomic
from sentiment.data.text import Hashes, write_seen_texts
from sentiment.encoder.files import weights_sha256


def export(model: PreTrainedModel, write_tokenizer: Callable[[Path], object], hashes: Hashes, folder: Path) -> str:
    """Write weights (float16), config, tokenizer and the hashes of the training texts; return the weights' SHA-256.

    Each file is replaced as a whole. Other files in `folder`, such as the model card, stay.

    Args:
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
