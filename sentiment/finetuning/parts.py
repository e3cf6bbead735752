"""Which part of an encoder a weight belongs to, by its name in transformers: for `frozen` and `layer_lr_decay`."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from sentiment.common.errors import ParamsError
from sentiment.finetuning.settings import Part

EMBEDDINGS = re.compile(r"(^|\.)embeddings?\.|embedding_hidden_mapping_in|embeddings_project")
ALBERT_LAYER = re.compile(r"albert_layer_groups\.(\d+)\.")
LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
ATTENTION = re.compile(r"\.(attention|self_attn|self_attention|attn)\.")


class WeightPart(NamedTuple):
    """The part of a weight.

    Attributes:
        kind: "embeddings", "attention", "ffn" (the rest of a layer), or "other", such as a last layer norm.
        layer: number from 0; None outside of layers, and where all layers share their weights.
    """

    kind: str
    layer: int | None


def weight_part(name: str, config: Any) -> WeightPart:
    """Return the part of the weight `name` of an encoder with transformers' `config`."""
    if EMBEDDINGS.search(name):
        return WeightPart("embeddings", None)
    albert_group, layer = ALBERT_LAYER.search(name), LAYER.search(name)
    if not albert_group and not layer:
        return WeightPart("other", None)
    kind = "attention" if ATTENTION.search(name) else "ffn"
    if albert_group:
        shares = config.num_hidden_groups < config.num_hidden_layers
        return WeightPart(kind, None if shares else int(albert_group[1]))
    assert layer
    return WeightPart(kind, int(layer[1]))


def freeze(model: Any, frozen: Iterable[Part]) -> None:
    """Take the weights of the named parts out of training.

    Raises:
        ParamsError: the encoder has no such part, or nothing is left to train.
    """
    parts = {name: weight_part(name, model.config) for name, _ in model.named_parameters()}
    available: set[str | int] = {kind for kind, _ in parts.values() if kind != "other"}
    available |= {layer for _, layer in parts.values() if layer is not None}
    for entry in frozen:
        if entry not in available:
            expected = ", ".join(sorted(map(str, available), key=lambda name: (not name.isdigit(), name)))
            hint = "; its layers share their weights" if isinstance(entry, int) and expected[0].isalpha() else ""
            raise ParamsError(f"finetune.frozen: this encoder has no part {entry!r}, expected {expected}{hint}")
    chosen = set(frozen)
    for name, weight in model.named_parameters():
        weight.requires_grad = not chosen.intersection(parts[name])
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ParamsError("finetune.frozen names every part of the encoder; to train none, set finetune.epochs to 0")
