"""Make encoders of random weights with the bundled tokenizer."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from tests.project import BUNDLED

VOCAB_SIZE: int = json.loads((BUNDLED / "config.json").read_bytes())["vocab_size"]  # of that tokenizer


def random_model(config: PretrainedConfig, std: float | None = None, auto_class: Any = AutoModel) -> PreTrainedModel:
    """Return a model with random weights, the same ones in every call.

    Args:
        config: of the model.
        std: of every weight. None keeps the library's initialization, which makes every bias 0 and every norm 1: a
            mistake in those would not show.
        auto_class: which model is made for the configuration, with a head or without.
    """
    torch.manual_seed(0)
    model: PreTrainedModel = auto_class.from_config(config)
    if std is not None:
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=std)
    return model


def save_encoder(model: PreTrainedModel, folder: Path) -> Path:
    """Save a model with the bundled tokenizer in a folder; return the folder."""
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BUNDLED / name, folder)
    return folder


def forget_tokenizer_class(folder: Path) -> None:
    """Remove the name of the tokenizer's class, so that transformers takes that of the model."""
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    del settings["tokenizer_class"]
    file.write_text(json.dumps(settings))
