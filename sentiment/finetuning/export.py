"""A fine-tuned encoder in; its standard Hugging Face folder out, with a model card and the list of its texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sentiment.common.epoch_log import EpochMetrics
from sentiment.common.files import scratch_folder, write_text
from sentiment.common.markdown import render_markdown
from sentiment.common.text_hash import Hashes, read_seen_texts, write_seen_texts
from sentiment.features.encoder_files import WEIGHTS_FILES, copy_files
from sentiment.finetuning.settings import FinetuneParams

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


def render_card(params: FinetuneParams, n_train: int, thresholds: Sequence[float], kept: EpochMetrics) -> str:
    """Return the encoder's model card in Markdown, with the metadata of the Hugging Face Hub.

    Args:
        thresholds: of the rating, which were targets beside the label.
        kept: metrics of the epoch that is kept.
    """
    limits = [f"{threshold:g}" for threshold in thresholds]
    return render_markdown(
        "sentiment.finetuning", TEMPLATE, params=params, n_train=n_train, thresholds=limits, kept=kept
    )
