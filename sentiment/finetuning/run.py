"""The folder of an encoder and the split in; the same folder with the fine-tuned encoder out.

Plain torch: what transformers' `Trainer` and `accelerate` would add, and what they cost, is in docs/finetuning.md.
"""

import os
from pathlib import Path
from typing import Any

import torch

from sentiment.common.epoch_log import EpochMetrics, epoch_log
from sentiment.common.errors import EncoderError
from sentiment.common.tables import batches
from sentiment.common.text_hash import Hashes, hash_texts
from sentiment.encoder.auto_model import load_auto_model, loading
from sentiment.encoder.device import pick_device
from sentiment.finetuning.dataset import Tokenize, rating_thresholds, read_dataset
from sentiment.finetuning.export import export, render_card
from sentiment.finetuning.model import EncoderWithHead
from sentiment.finetuning.parts import freeze
from sentiment.finetuning.settings import FinetuneParams
from sentiment.finetuning.training import finetune


def finetune_folder(folder: Path, split: Path, params: FinetuneParams, log: Path) -> EpochMetrics:
    """Fine-tune the encoder in `folder`, in place; equal arguments give equal bytes on one machine.

    Args:
        folder: an encoder that transformers loads.
        split: the folder of the train and val tables.
        log: the folder of losses and accuracies by epoch to write.

    Returns:
        The metrics of the epoch that is kept.

    Raises:
        EncoderError: the encoder cannot be loaded, or takes fewer tokens; the device is not available.
        ParamsError: `params.frozen` names a part that the encoder does not have.
    """
    make_deterministic(params.seed)
    device = pick_device(params.device, key="finetune.device")
    tokenizer, encoder = load(folder, params)
    train_table = split / "train.parquet"
    thresholds = rating_thresholds(train_table) if params.rating_targets else []
    tokenize = tokenize_with(tokenizer, params.max_length)
    train, val = (read_dataset(split / f"{name}.parquet", tokenize, thresholds) for name in ("train", "val"))
    freeze(encoder, params.frozen)
    model = EncoderWithHead(encoder, params.pooling, 1 + len(thresholds), params.dropout)
    torch.nn.Module.to(model, device)
    pad_id = tokenizer.pad_token_id or 0
    with epoch_log(log, f"finetune on {device.type}", params.epochs * len(train), "reviews") as epochs:

        def on_step(loss: float, n_reviews: int) -> None:
            epochs.advance(n_reviews, loss=loss)

        for epoch in finetune(model, train, val, pad_id, params, on_step):
            epochs.epoch(epoch)
    assert epochs.kept, "training raises where no epoch is kept"
    card = render_card(params, len(train), thresholds, epochs.kept)
    export(folder, torch.nn.Module.to(encoder, "cpu"), card, train_hashes(train_table))
    return epochs.kept


def make_deterministic(seed: int) -> None:
    """Let torch give the same numbers in each run on this machine, and seed it."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    torch.use_deterministic_algorithms(True)
    # filling exposes reads of uninitialized memory, and takes time
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)


def load(folder: Path, params: FinetuneParams) -> tuple[Any, Any]:
    """Return tokenizer and model of a folder; raises EncoderError."""
    with loading(f"finetune.encoder '{params.encoder}'"):
        tokenizer, encoder = load_auto_model(str(folder))
    max_positions = getattr(encoder.config, "max_position_embeddings", params.max_length)
    if params.max_length > max_positions:
        raise EncoderError(
            f"finetune.max_length is {params.max_length}, but '{params.encoder}' takes at most {max_positions}"
        )
    return tokenizer, encoder


def tokenize_with(tokenizer: Any, max_length: int) -> Tokenize:
    """Return a function from texts to the ids of their first `max_length` tokens, with transformers' tokenizer."""

    def tokenize(texts: list[str]) -> list[list[int]]:
        only_ids = {"return_attention_mask": False, "return_token_type_ids": False}
        ids: list[list[int]] = tokenizer(texts, truncation=True, max_length=max_length, **only_ids)["input_ids"]
        return ids

    return tokenize


def train_hashes(table: Path) -> Hashes:
    """Return the hash of every text of the train split."""
    return hash_texts(text for chunk in batches(table, ["text"]) for text in chunk["text"].to_pylist())
