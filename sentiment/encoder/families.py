"""Describe BERT and ALBERT as data: the names of their weights, and which configs this project computes itself.

A BERT layer is an ALBERT layer under other names; ALBERT shares layers and projects its embeddings. Names are from
transformers' `BertModel` and `AlbertModel`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor


class TransformerConfig(BaseModel):
    """What config.json says of a BERT or an ALBERT; one with another activation or other positions is refused."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    model_type: Literal["albert", "bert"]
    hidden_act: Literal["gelu", "gelu_new", "gelu_pytorch_tanh"]
    position_embedding_type: Literal["absolute"] = "absolute"
    is_decoder: Literal[False] = False
    vocab_size: int
    embedding_size: int | None = None
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_hidden_layers: int
    num_hidden_groups: int = 1
    inner_group_num: int = 1
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float

    @property
    def gelu(self) -> Literal["erf", "tanh"]:
        """Which GELU the activation is."""
        return "erf" if self.hidden_act == "gelu" else "tanh"

    @classmethod
    def parse(cls, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Self | None:
        """Return the config of a BERT or an ALBERT whose weights are all there; None for any other encoder."""
        try:
            parsed = cls.model_validate(config)
        except ValidationError:
            return None
        shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
        return parsed if param_shapes(parsed).items() <= shapes.items() else None


@dataclass(frozen=True)
class LayerKeys:
    """Names of the linear layers and layer norms of one layer, without ".weight" and ".bias"."""

    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    intermediate: str
    output: str
    output_norm: str

    def under(self, prefix: str) -> "LayerKeys":
        """Return the full names of a layer."""
        return LayerKeys(**{field: f"{prefix}.{name}" for field, name in vars(self).items()})


EMBEDDINGS = {name: f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")}
EMBEDDING_NORM = "embeddings.LayerNorm"
PROJECTION = "encoder.embedding_hidden_mapping_in"  # ALBERT's, from the embedding size to the hidden size
LAYER_KEYS = {
    "albert": LayerKeys(
        query="attention.query",
        key="attention.key",
        value="attention.value",
        attention_output="attention.dense",
        attention_norm="attention.LayerNorm",
        intermediate="ffn",
        output="ffn_output",
        output_norm="full_layer_layer_norm",
    ),
    "bert": LayerKeys(
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        attention_output="attention.output.dense",
        attention_norm="attention.output.LayerNorm",
        intermediate="intermediate.dense",
        output="output.dense",
        output_norm="output.LayerNorm",
    ),
}


def layer_prefixes(config: TransformerConfig) -> list[str]:
    """Return what the names of each layer's weights begin with; layers that share weights share it."""
    if config.model_type == "bert":
        return [f"encoder.layer.{layer}" for layer in range(config.num_hidden_layers)]
    layers_per_group = config.num_hidden_layers / config.num_hidden_groups
    return [
        f"encoder.albert_layer_groups.{int(layer / layers_per_group)}.albert_layers.{inner}"
        for layer in range(config.num_hidden_layers)
        for inner in range(config.inner_group_num)
    ]


def param_shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every weight, pooling layer left out."""
    hidden, intermediate = config.hidden_size, config.intermediate_size
    embedding = config.embedding_size if config.model_type == "albert" and config.embedding_size else hidden
    rows = (config.vocab_size, config.max_position_embeddings, config.type_vocab_size)
    shapes: dict[str, tuple[int, ...]] = {
        name: (n, embedding) for name, n in zip(EMBEDDINGS.values(), rows, strict=True)
    }
    outputs: dict[str, tuple[int, ...]] = {EMBEDDING_NORM: (embedding,)}
    if config.model_type == "albert":
        outputs[PROJECTION] = (hidden, embedding)
    for prefix in layer_prefixes(config):
        keys = LAYER_KEYS[config.model_type].under(prefix)
        outputs |= dict.fromkeys((keys.query, keys.key, keys.value, keys.attention_output), (hidden, hidden))
        outputs |= {keys.intermediate: (intermediate, hidden), keys.output: (hidden, intermediate)}
        outputs |= dict.fromkeys((keys.attention_norm, keys.output_norm), (hidden,))
    for name, shape in outputs.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes
