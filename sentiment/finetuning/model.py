"""Put a linear head on an encoder, freeze parts of it, and build the optimizer of the others."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from sentiment.common.errors import ParamsError
from sentiment.encoder.loading import pool
from sentiment.finetuning.settings import FinetuneParams, Part

EMBEDDINGS = re.compile(r"(^|\.)embeddings?\.|embedding_hidden_mapping_in|embeddings_project")
ALBERT_LAYER = re.compile(r"albert_layer_groups\.(\d+)\.")
LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
ATTENTION = re.compile(r"\.(attention|self_attn|self_attention|attn)\.")


class EncoderWithHead(nn.Module):
    """transformers' encoder, pooling, dropout, and a linear layer.

    Attributes:
        encoder: transformers' model.
        head: the linear layer, of as many outputs as there are targets.
    """

    def __init__(self, encoder: Any, pooling: str, n_targets: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        dim = encoder.config.hidden_size * (2 if pooling == "mean+max" else 1)
        self.head = nn.Linear(dim, n_targets)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return logits of shape (n_texts, n_targets) for ids and mask of shape (n_texts, n_tokens)."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = pool(hidden, mask, self.pooling)
        with torch.autocast(pooled.device.type, enabled=False):
            logits: Tensor = self.head(self.dropout(pooled))
        return logits


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


def build_optimizer(model: EncoderWithHead, params: FinetuneParams, n_steps: int) -> tuple[AdamW, LambdaLR]:
    """Return the optimizer of the weights that are not frozen, and the schedule of its learning rate."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    # biases and layer norms, the vectors among the weights, are not decayed
    settings: list[dict[str, Any]] = [
        {"params": [weight for weight in trained if weight.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [weight for weight in trained if weight.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = AdamW(settings, lr=params.learning_rate, fused=True)  # one pass over each weight, and not ten
    n_warmup = round(params.warmup_ratio * n_steps)
    return optimizer, LambdaLR(optimizer, lambda step: lr_factor(step, n_warmup, n_steps))


def lr_factor(step: int, n_warmup: int, n_steps: int) -> float:
    """Return the factor of the learning rate at a step from 0: it rises from 0 to 1, then falls to 0."""
    if step < n_warmup:
        return (step + 1) / n_warmup
    return max(0.0, (n_steps - step) / max(1, n_steps - n_warmup))
