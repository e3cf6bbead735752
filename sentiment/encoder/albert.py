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
EqualLengthRun = tuple[int, int]  # (n_texts, seq_len): consecutive texts with the same number of tokens

# in bfloat16 rows are rounded up to this: oneDNN takes milliseconds to prepare a product of each new height
ROW_MULTIPLE = 64


class AlbertConfig(BaseModel):
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

    def param_shapes(self) -> dict[str, tuple[int, ...]]:
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
    intermediate: Affine
    output: Affine
    norm: Affine


class Albert:
    """A frozen ALBERT without pooling layer: it holds tensors, and nothing that could be trained."""

    def __init__(self, config: AlbertConfig, weights: Weights, device: torch.device, dtype: torch.dtype) -> None:
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

        self.config = config
        self.device = device
        self._rows = ROW_MULTIPLE if dtype == torch.bfloat16 else 1
        # in bfloat16 the exact GELU for both: they differ by a tenth of what rounding does, and tanh is slow
        self._gelu = "none" if config.hidden_act == "gelu" or dtype == torch.bfloat16 else "tanh"
        words, positions, types = (
            weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        )
        self._word_embeddings = words.to(device, dtype)
        self._position_embeddings = (positions + types[0]).to(device, dtype)  # a review is one segment, of type 0
        self._embedding_norm = affine("embeddings.LayerNorm")
        self._projection = affine("encoder.embedding_hidden_mapping_in")
        groups = [
            [layer(layer_name(group, inner)) for inner in range(config.inner_group_num)]
            for group in range(config.num_hidden_groups)
        ]
        by_group = config.num_hidden_layers / config.num_hidden_groups  # consecutive layers share a group's weights
        self._layers = [one for number in range(config.num_hidden_layers) for one in groups[int(number / by_group)]]

    def encode(self, token_ids: Sequence[Sequence[int]], pooling: str) -> Tensor:
        """Return one float32 vector per text, shape (n_texts, dim); fastest when texts of equal length are adjacent."""
        runs = [(sum(1 for _ in same), tokens) for tokens, same in groupby(len(ids) for ids in token_ids)]
        ids = list(chain.from_iterable(token_ids))
        ids += [0] * (-len(ids) % self._rows)  # padding rows that belong to no text
        hidden = self._hidden(torch.tensor(ids, device=self.device), runs)
        return torch.cat([pool(texts, None, pooling) for texts in split_by_length(hidden, runs)])

    def _hidden(self, ids: Tensor, runs: Sequence[EqualLengthRun]) -> Tensor:
        """Return the last hidden state of each token, shape (n_tokens, hidden_size)."""
        embedded = F.embedding(ids, self._word_embeddings)
        for texts in split_by_length(embedded, runs):  # (n_texts, seq_len, embedding_size)
            texts += self._position_embeddings[: texts.shape[1]]
        hidden = F.linear(self._norm(embedded, self._embedding_norm), *self._projection)
        for layer in self._layers:
            attn_output = F.linear(self._attention(layer, hidden, runs), *layer.attention_output)
            hidden = self._norm(attn_output.add_(hidden), layer.attention_norm)
            intermediate = F.gelu(F.linear(hidden, *layer.intermediate), approximate=self._gelu)
            hidden = self._norm(F.linear(intermediate, *layer.output).add_(hidden), layer.norm)
        return hidden

    def _attention(self, layer: Layer, hidden: Tensor, runs: Sequence[EqualLengthRun]) -> Tensor:
        """Return the attention output, shape (n_tokens, hidden_size); each text attends to itself only."""
        attn_output = []
        for texts in split_by_length(F.linear(hidden, *layer.query_key_value), runs):
            by_head = texts.view(*texts.shape[:2], 3, self.config.num_attention_heads, -1)
            query, key, value = by_head.permute(2, 0, 3, 1, 4)  # each (n_texts, n_heads, seq_len, head_dim)
            attn_output.append(
                F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(0, 1).flatten(1)
            )
        return torch.cat([*attn_output, hidden[sum(map(len, attn_output)) :]])

    def _norm(self, rows: Tensor, affine: Affine) -> Tensor:
        return F.layer_norm(rows, rows.shape[1:], *affine, self.config.layer_norm_eps)


def split_by_length(rows: Tensor, runs: Sequence[EqualLengthRun]) -> list[Tensor]:
    """Return one view of shape (n_texts, seq_len, dim) per run, of a matrix of shape (at least n_tokens, dim)."""
    sizes = [n_texts * seq_len for n_texts, seq_len in runs]
    parts = torch.split_with_sizes(rows[: sum(sizes)], sizes)
    return [rows.view(*run, -1) for rows, run in zip(parts, runs, strict=True)]


def layer_name(group: int, inner: int) -> str:
    """Return what the names of a layer's weights begin with."""
    return f"encoder.albert_layer_groups.{group}.albert_layers.{inner}"
