"""ALBERT's forward pass in plain torch, without padding: the tokens of a batch lie below each other in one matrix.

Lan et al., ALBERT: A Lite BERT for Self-supervised Learning of Language Representations, ICLR 2020,
https://arxiv.org/abs/1909.11942. The formulas and the names of the weights are those of transformers' `AlbertModel`,
which the tests hold this against. It is not used itself because importing it takes longer than to label a review, and
because it computes padding (see benchmarks/TRIED.md). In bfloat16 alone every GELU is the exact one, without tanh.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, groupby
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from sentiment.encoder.pooling import pool

Weights = Mapping[str, Tensor]
Block = tuple[int, int]  # so many texts of so many tokens each

# in bfloat16 rows are rounded up to this: oneDNN takes milliseconds to prepare a product of each new height
ROWS = 64


class AlbertShape(BaseModel):
    """What config.json says of an ALBERT; one with another activation or other positions is refused."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    model_type: Literal["albert"]
    hidden_act: Literal["gelu", "gelu_new", "gelu_pytorch_tanh"]
    position_embedding_type: Literal["absolute"] = "absolute"
    vocab_size: int
    embedding_size: int
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_hidden_layers: int
    num_hidden_groups: int
    inner_group_num: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Return name and shape of every weight, pooling layer left out."""
        e, h, i = self.embedding_size, self.hidden_size, self.intermediate_size
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (self.vocab_size, e),
            "embeddings.position_embeddings.weight": (self.max_position_embeddings, e),
            "embeddings.token_type_embeddings.weight": (self.type_vocab_size, e),
        }
        outputs = {"embeddings.LayerNorm": (e,), "encoder.embedding_hidden_mapping_in": (h, e)}
        for group in range(self.num_hidden_groups):
            for inner in range(self.inner_group_num):
                prefix = layer_name(group, inner)
                outputs |= {f"{prefix}.attention.{name}": (h, h) for name in ("query", "key", "value", "dense")}
                outputs |= {f"{prefix}.ffn": (i, h), f"{prefix}.ffn_output": (h, i)}
                outputs |= {f"{prefix}.{name}": (h,) for name in ("attention.LayerNorm", "full_layer_layer_norm")}
        for name, shape in outputs.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return shapes


class Affine(NamedTuple):
    """Weight and bias of a linear layer or a layer norm."""

    weight: Tensor
    bias: Tensor


class Layer(NamedTuple):
    """The weights of one layer; query, key and value are one product."""

    query_key_value: Affine
    attention_output: Affine
    attention_norm: Affine
    inner: Affine
    output: Affine
    norm: Affine


class Albert:
    """A frozen ALBERT without pooling layer: it holds tensors, and nothing that could be trained."""

    def __init__(self, shape: AlbertShape, weights: Weights, device: torch.device, dtype: torch.dtype) -> None:
        def stacked(names: tuple[str, ...], kind: str) -> Tensor:
            return torch.cat([weights[f"{name}.{kind}"] for name in names]).to(device, dtype)

        def affine(*names: str) -> Affine:
            return Affine(stacked(names, "weight"), stacked(names, "bias"))

        def layer(prefix: str) -> Layer:
            attention = f"{prefix}.attention"
            return Layer(
                affine(*(f"{attention}.{name}" for name in ("query", "key", "value"))),
                affine(f"{attention}.dense"),
                affine(f"{attention}.LayerNorm"),
                affine(f"{prefix}.ffn"),
                affine(f"{prefix}.ffn_output"),
                affine(f"{prefix}.full_layer_layer_norm"),
            )

        self.shape = shape
        self.device = device
        self._rows = ROWS if dtype == torch.bfloat16 else 1
        # in bfloat16 the exact GELU for both: they differ by a tenth of what rounding does, and tanh is slow
        self._gelu = "none" if shape.hidden_act == "gelu" or dtype == torch.bfloat16 else "tanh"
        words, positions, types = (
            weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        )
        self._words = words.to(device, dtype)
        self._places = (positions + types[0]).to(device, dtype)  # a review is one segment, of type 0
        self._embedding_norm = affine("embeddings.LayerNorm")
        self._projection = affine("encoder.embedding_hidden_mapping_in")
        groups = [
            [layer(layer_name(group, inner)) for inner in range(shape.inner_group_num)]
            for group in range(shape.num_hidden_groups)
        ]
        by_group = shape.num_hidden_layers / shape.num_hidden_groups  # consecutive layers share a group's weights
        self._layers = [one for number in range(shape.num_hidden_layers) for one in groups[int(number / by_group)]]

    def pooled(self, token_ids: Sequence[Sequence[int]], pooling: str) -> Tensor:
        """Return a vector a text, float32, shape (texts, width); texts of one length are best neighbours."""
        blocks = [(sum(1 for _ in same), tokens) for tokens, same in groupby(len(ids) for ids in token_ids)]
        ids = list(chain.from_iterable(token_ids))
        ids += [0] * (-len(ids) % self._rows)  # rows that no block holds: nothing attends to them, nothing reads them
        hidden = self._hidden(torch.tensor(ids, device=self.device), blocks)
        return torch.cat([pool(block, None, pooling) for block in in_blocks(hidden, blocks)])

    def _hidden(self, ids: Tensor, blocks: Sequence[Block]) -> Tensor:
        """Return the last hidden state of each token, shape (tokens, hidden)."""
        embedded = F.embedding(ids, self._words)
        for block in in_blocks(embedded, blocks):
            block += self._places[: block.shape[1]]
        hidden = F.linear(self._norm(embedded, self._embedding_norm), *self._projection)
        for layer in self._layers:
            mixed = F.linear(self._attention(layer, hidden, blocks), *layer.attention_output)
            hidden = self._norm(mixed.add_(hidden), layer.attention_norm)
            inner = F.gelu(F.linear(hidden, *layer.inner), approximate=self._gelu)
            hidden = self._norm(F.linear(inner, *layer.output).add_(hidden), layer.norm)
        return hidden

    def _attention(self, layer: Layer, hidden: Tensor, blocks: Sequence[Block]) -> Tensor:
        """Return what the heads bring to each token, shape (tokens, hidden): each text attends to itself only."""
        mixed = []
        for block in in_blocks(F.linear(hidden, *layer.query_key_value), blocks):
            by_head = block.view(*block.shape[:2], 3, self.shape.num_attention_heads, -1)
            query, key, value = by_head.permute(2, 0, 3, 1, 4)  # each (texts, heads, tokens, width of a head)
            mixed.append(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(0, 1).flatten(1))
        return torch.cat([*mixed, hidden[sum(map(len, mixed)) :]])

    def _norm(self, rows: Tensor, affine: Affine) -> Tensor:
        return F.layer_norm(rows, rows.shape[1:], *affine, self.shape.layer_norm_eps)


def in_blocks(rows: Tensor, blocks: Sequence[Block]) -> list[Tensor]:
    """Return views of shape (texts, tokens, width) of a matrix of shape (all tokens and perhaps more, width)."""
    sizes = [texts * tokens for texts, tokens in blocks]
    parts = torch.split_with_sizes(rows[: sum(sizes)], sizes)
    return [part.view(*block, -1) for part, block in zip(parts, blocks, strict=True)]


def layer_name(group: int, inner: int) -> str:
    """Return what the names of a layer's weights begin with."""
    return f"encoder.albert_layer_groups.{group}.albert_layers.{inner}"
