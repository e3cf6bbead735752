"""Compute the forward pass of a BERT or an ALBERT in torch's floats, on packed texts without padding.

Devlin et al., BERT, 2019, https://arxiv.org/abs/1810.04805; Lan et al., ALBERT, ICLR 2020,
https://arxiv.org/abs/1909.11942. The formulas are from transformers' `BertModel` and `AlbertModel`, which the tests
compare with. They are not used themselves because importing them takes longer than to label a review, and because they
compute padding (see benchmarks/TRIED.md). The last digits depend on the processor: `encoder.exact` has none that do.
In bfloat16 alone every GELU is the exact one, without tanh.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, groupby
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray
from torch import Tensor

from sentiment.encoder.families import (
    EMBEDDING_NORM,
    EMBEDDINGS,
    LAYER_KEYS,
    PROJECTION,
    TransformerConfig,
    layer_prefixes,
)
from sentiment.encoder.loading import pool

Weights = Mapping[str, Tensor]
EqualLengthRun = tuple[int, int]  # (n_texts, seq_len): consecutive texts with the same number of tokens

# in bfloat16 rows are rounded up to this: oneDNN takes milliseconds to prepare a product of each new height
ROW_MULTIPLE = 64


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


class FloatTransformer:
    """A frozen BERT or ALBERT without pooling layer: it holds tensors, and nothing that could be trained."""

    def __init__(self, config: TransformerConfig, weights: Weights, device: torch.device, dtype: torch.dtype) -> None:
        def stacked(names: tuple[str, ...], kind: str) -> Tensor:
            return torch.cat([weights[f"{name}.{kind}"] for name in names]).to(device, dtype)

        def affine(*names: str) -> Affine:
            return Affine(stacked(names, "weight"), stacked(names, "bias"))

        def layer(prefix: str) -> Layer:
            keys = LAYER_KEYS[config.model_type].under(prefix)
            return Layer(
                affine(keys.query, keys.key, keys.value),
                affine(keys.attention_output),
                affine(keys.attention_norm),
                affine(keys.intermediate),
                affine(keys.output),
                affine(keys.output_norm),
            )

        self.config = config
        self.device = device
        self._rows = ROW_MULTIPLE if dtype == torch.bfloat16 else 1
        # in bfloat16 the exact GELU for both: they differ by a tenth of what rounding does, and tanh is slow
        self._gelu = "none" if config.gelu == "erf" or dtype == torch.bfloat16 else "tanh"
        words, positions, types = (weights[EMBEDDINGS[name]] for name in ("word", "position", "token_type"))
        self._word_embeddings = words.to(device, dtype)
        self._position_embeddings = (positions + types[0]).to(device, dtype)  # a review is one segment, of type 0
        self._embedding_norm = affine(EMBEDDING_NORM)
        self._projection = affine(PROJECTION) if config.model_type == "albert" else None
        prefixes = layer_prefixes(config)
        layers = {prefix: layer(prefix) for prefix in dict.fromkeys(prefixes)}  # some share their weights
        self._layers = [layers[prefix] for prefix in prefixes]

    def encode(self, token_ids: Sequence[Sequence[int]], pooling: str) -> Tensor:
        """Return one float32 vector per text, shape (n_texts, dim); fastest when texts of equal length are adjacent."""
        return self.encode_with_tokens(token_ids, pooling)[0]

    def encode_with_tokens(self, token_ids: Sequence[Sequence[int]], pooling: str) -> tuple[Tensor, list[Tensor]]:
        """Return what `encode` does, and the last hidden state of each text, float32, shape (n_tokens, hidden_size)."""
        lengths = [len(ids) for ids in token_ids]
        runs = [(sum(1 for _ in same), tokens) for tokens, same in groupby(lengths)]
        ids = list(chain.from_iterable(token_ids))
        ids += [0] * (-len(ids) % self._rows)  # padding rows that belong to no text
        hidden = self._hidden(torch.tensor(ids, device=self.device), runs)
        pooled = torch.cat([pool(texts, None, pooling) for texts in split_by_length(hidden, runs)])
        return pooled, list(torch.split_with_sizes(hidden[: sum(lengths)], lengths))

    def _hidden(self, ids: Tensor, runs: Sequence[EqualLengthRun]) -> Tensor:
        """Return the last hidden state of each token, shape (n_tokens, hidden_size)."""
        embedded = F.embedding(ids, self._word_embeddings)
        for texts in split_by_length(embedded, runs):  # (n_texts, seq_len, embedding_size)
            texts += self._position_embeddings[: texts.shape[1]]
        hidden = self._norm(embedded, self._embedding_norm)
        if self._projection:
            hidden = F.linear(hidden, *self._projection)
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


class TransformersEncoder:
    """A frozen encoder of transformers, in evaluation mode and without gradients."""

    def __init__(self, module: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.module = module.train(False).requires_grad_(False).to(device, dtype)
        self.device = device
        self._pad = getattr(module.config, "pad_token_id", None) or 0

    def encode(self, token_ids: Sequence[Sequence[int]], pooling: str) -> Tensor:
        """Return a vector a text, float32, shape (texts, dim)."""
        return self.encode_with_tokens(token_ids, pooling)[0]

    def encode_with_tokens(self, token_ids: Sequence[Sequence[int]], pooling: str) -> tuple[Tensor, list[Tensor]]:
        """Return what `encode` does, and the last hidden state of each text, shape (n_tokens, hidden_size)."""
        ids, mask = (
            None if array is None else torch.from_numpy(array).to(self.device) for array in padded(token_ids, self._pad)
        )
        hidden = self.module(input_ids=ids, attention_mask=mask).last_hidden_state
        return pool(hidden, mask, pooling), [one[: len(ids)] for one, ids in zip(hidden, token_ids, strict=True)]


def padded(token_ids: Sequence[Sequence[int]], pad: int) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return ids and attention mask (1 is a token, 0 padding), both of shape (texts, longest text).

    The mask is None where all texts are equally long.
    """
    lengths = np.array([len(ids) for ids in token_ids])
    if lengths.min() == lengths.max():
        return np.array(token_ids, dtype=np.int64), None
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad, dtype=np.int64)
    ids[mask] = np.concatenate(token_ids)
    return ids, mask.astype(np.int64)
