"""Fine-tune the encoder in a folder, in place, with its model card and the list of the texts that it was trained on."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sentiment.cards import render_markdown
from sentiment.common.errors import EncoderError
from sentiment.common.files import scratch_folder, write_text
from sentiment.common.tables import batches
from sentiment.data.text import Hashes, hash_texts, read_seen_texts, write_seen_texts
from sentiment.encoder.config import WEIGHTS_FILES, PoolingConfig, copy_files
from sentiment.encoder.loading import load_auto_model, pick_device
from sentiment.encoder.tokenizer import loading, tokenize_with
from sentiment.finetuning.model import EncoderWithHead, freeze
from sentiment.finetuning.settings import FinetuneParams
from sentiment.finetuning.training import finetune, rating_thresholds, read_dataset
from sentiment.head.epoch_log import EpochMetrics, epoch_log

CARD, TEMPLATE = "README.md", "encoder_card.md.j2"


def export(folder: Path, model: Any, card: str, hashes: Hashes) -> None:
    """Write weights, config, card and list of texts into the folder of the encoder that the model was made from.

    The tokenizer's files, which training does not change, stay as they are, and so do the texts of that encoder's list.

    Args:
        folder: holds the encoder as it was before.
        model: transformers' encoder, without the head.
        hashes: of the texts that it was trained on.
    """
    for path in sorted({path for pattern in WEIGHTS_FILES for path in folder.glob(pattern)}):
        path.unlink()
    with scratch_folder(folder, "export") as staging:
        model.save_pretrained(staging)
        copy_files(staging, folder, ("config.json", *WEIGHTS_FILES))  # whose copies anyone may read
    write_text(folder / CARD, card)
    write_seen_texts(folder, np.concatenate([read_seen_texts(folder), hashes]))


def finetune_folder(
    folder: Path, split: Path, params: FinetuneParams, encode: PoolingConfig, log: Path
) -> EpochMetrics:
    """Fine-tune the encoder in `folder`, in place; equal arguments give equal bytes on one machine.

    Args:
        folder: an encoder that transformers loads.
        split: the folder of the train and val tables.
        encode: how `encode` will compute features: of texts of the same length, pooled in the same way.
        log: the folder of losses and accuracies by epoch to write.

    Returns:
        The metrics of the epoch that is kept.

    Raises:
        EncoderError: the encoder cannot be loaded, or takes fewer tokens; the device is not available.
        ParamsError: `params.frozen` names a part that the encoder does not have.
    """
    make_deterministic(params.seed)
    device = pick_device(params.device, key="finetune.device")
    tokenizer, encoder = load(folder, params, encode.max_length)
    train_table = split / "train.parquet"
    thresholds = rating_thresholds(train_table) if params.rating_targets else []
    tokenize = tokenize_with(tokenizer, encode.max_length)
    train, val = (read_dataset(split / f"{name}.parquet", tokenize, thresholds) for name in ("train", "val"))
    freeze(encoder, params.frozen)
    model = EncoderWithHead(encoder, encode.pooling, 1 + len(thresholds), params.dropout)
    torch.nn.Module.to(model, device)
    pad_id = tokenizer.pad_token_id or 0
    with epoch_log(log, f"finetune on {device.type}", params.epochs * len(train), "reviews") as epochs:

        def on_step(loss: float, n_reviews: int) -> None:
            epochs.advance(n_reviews, loss=loss)

        for epoch in finetune(model, train, val, pad_id, params, on_step):
            epochs.epoch(epoch)
    assert epochs.kept, "training raises where no epoch is kept"
    card = render_markdown(
        "sentiment.finetuning",
        TEMPLATE,
        params=params,
        encode=encode,
        source=Path(params.encoder).name,  # a path would tell where it was made
        n_train=len(train),
        thresholds=[f"{threshold:g}" for threshold in thresholds],
        kept=epochs.kept,
    )
    hashes = hash_texts(text for chunk in batches(train_table, ["text"]) for text in chunk["text"].to_pylist())
    export(folder, torch.nn.Module.to(encoder, "cpu"), card, hashes)
    return epochs.kept


def make_deterministic(seed: int) -> None:
    """Let torch give the same numbers in each run on this machine, and seed it."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    torch.set_deterministic_debug_mode("error")
    # filling exposes reads of uninitialized memory, and takes time
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)


def load(folder: Path, params: FinetuneParams, max_length: int) -> tuple[Any, Any]:
    """Return tokenizer and model of a folder; raises EncoderError, also where the model takes fewer tokens."""
    with loading(f"finetune.encoder '{params.encoder}'"):
        tokenizer, encoder = load_auto_model(folder)
    max_positions = getattr(encoder.config, "max_position_embeddings", max_length)
    if max_length > max_positions:
        raise EncoderError(f"encode.max_length is {max_length}, but '{params.encoder}' takes at most {max_positions}")
    return tokenizer, encoder
