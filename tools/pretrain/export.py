"""Writes the student as a folder that plain `AutoModel` and `AutoTokenizer` load without network."""

import shutil
import tempfile
from hashlib import file_digest
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from sentiment.common.files import atomic
from tools.pretrain.vocabulary import Vocabulary

WEIGHTS, HASHES = "model.safetensors", "trained_on.npy"


def export(
    student: PreTrainedModel, vocabulary: Vocabulary, max_length: int, hashes: NDArray[np.uint64], folder: Path
) -> str:
    """Write weights (float16), config, tokenizer and the hashes of the training texts; return the weights' SHA-256.

    A file appears under its name only when it is whole; what else is in `folder`, such as the model card, stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="encoder-", dir=folder.parent) as made:
        nn.Module.to(student, "cpu", torch.float16)  # transformers' own `to` is not typed
        student.save_pretrained(made)
        vocabulary.as_pretrained(max_length).save_pretrained(made)
        np.save(Path(made, HASHES), hashes)
        for file in sorted(Path(made).iterdir()):
            with atomic(folder / file.name) as partial:
                shutil.copyfile(file, partial)
    with (folder / WEIGHTS).open("rb") as weights:
        return file_digest(weights, "sha256").hexdigest()
