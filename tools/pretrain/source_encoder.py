"""The teacher: a sentence encoder that lends its tokenizer and what it makes of single word pieces."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from sentiment.common.errors import EncoderError
from sentiment.encoder.loading import check_weights

PIECES_PER_BATCH = 512


@dataclass(frozen=True)
class Teacher:
    """A Hugging Face encoder of the BERT kind, with a WordPiece tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @torch.inference_mode()
    def piece_vectors(self, ids: list[int], device: torch.device) -> Tensor:
        """Return the mean token vector of every piece as a text of its own, shape (pieces, dim), on the CPU.

        This is the static embedding of Model2Vec (https://github.com/MinishLab/model2vec).
        """
        nn.Module.to(self.model, device)
        first, last = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        batches = torch.split(torch.tensor([[first, piece, last] for piece in ids], device=device), PIECES_PER_BATCH)
        return torch.cat([self.model(input_ids=batch).last_hidden_state.mean(1).cpu() for batch in batches])


def load_teacher(name: str) -> Teacher:
    """Load the teacher from a folder, or from an installed package that carries one in a file `model.zip`.

    Raises:
        EncoderError: there is neither, or it does not load.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with _folder_of(name) as folder:
        check_weights(folder)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, attn_implementation="sdpa"
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise EncoderError(f"teacher '{name}' could not be loaded: {' '.join(str(error).split())[:300]}") from None
    return Teacher(model.train(False).requires_grad_(False), tokenizer)


@contextmanager
def _folder_of(name: str) -> Iterator[Path]:
    if Path(name).is_dir():
        yield Path(name)
        return
    try:
        files = distribution(name).files or []
    except (PackageNotFoundError, ValueError):
        files = []
    archives = [Path(str(file.locate())) for file in files if file.name == "model.zip"]
    if not archives:
        raise EncoderError(f"teacher '{name}' is no folder and no installed package with a model; pip install it first")
    with tempfile.TemporaryDirectory(prefix="teacher-") as folder:
        zipfile.ZipFile(archives[0]).extractall(folder)
        yield Path(folder)
