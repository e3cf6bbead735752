"""A fine-tuned encoder in; its standard Hugging Face folder out, with a model card and the list of its texts."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from sentiment.common.epoch_log import EpochMetrics
from sentiment.common.files import scratch_folder, write_text
from sentiment.common.text_hash import Hashes, read_seen_texts, write_seen_texts
from sentiment.features.encoder_files import WEIGHTS_FILES, copy_files
from sentiment.finetuning.settings import FinetuneParams

CARD = "README.md"


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
    # autoescape is for HTML; values of params.yaml are written as code spans
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)  # noqa: S701
    environment.filters["code"] = lambda value: f"`{value}`"
    template = (files("sentiment.finetuning") / "encoder_card.md.j2").read_text(encoding="utf-8")
    limits = [f"{threshold:g}" for threshold in thresholds]
    return environment.from_string(template).render(params=params, n_train=n_train, thresholds=limits, kept=kept)
