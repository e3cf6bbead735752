"""Compute the forward pass of a BERT or an ALBERT in integers, with the same bits on every processor."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from math import inf, isqrt, sqrt
from threading import Lock, local
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sentiment.common.errors import EncoderError
from sentiment.encoder.families import (
    EMBEDDING_NORM,
    EMBEDDINGS,
    LAYER_KEYS,
    PROJECTION,
    TransformerConfig,
    layer_prefixes,
)  # fmt: skip
from sentiment.numerics.functions import gelu_, layer_norm_, scale_into, softmax_integers_
from sentiment.numerics.memory import Buffers, row_blocks
from sentiment.numerics.products import (
    OperandProduct,
    Product,
    integer_product,
    operand_product,
    outlier_product,
    product_of_12_bits,
)
from sentiment.numerics.quantization import (
    MAX_DIM_BY_NORM,
    MIN_MAX,
    adjacent_sums,
    largest_sizes,
    quantize_rows,
    quantize_rows_by_norm,
    quantize_weight,
    row_sums,
)

if TYPE_CHECKING:
    from sentiment.encoder.fused import FusedTransformer
    from sentiment.encoder.fused_gpu import GpuTransformer

# Rows are rounded up to this: oneDNN prepares a product for each new number of rows, and CUDA wants at least 17.
ROW_MULTIPLE = 64
MASKED = -np.inf  # added to the score of a key that is padding

KERNELS = "SENTIMENT_KERNELS"  # the environment variable that says whether compiled kernels are used
# by its value, from how many activations of feed-forward layers on; to load the kernels takes as long as they save with
# 2^27 activations, so a process that labels a few texts does not wait for them
MIN_ACTIVATIONS = {"auto": 2.0**27, "always": 0.0, "never": inf}

TRIED_TOKENS = 40  # of the longest text by which a GPU's kernels are compared with torch's operations

log = logging.getLogger(__name__)


class Padding(NamedTuple):
    """How texts of different lengths become one padded batch.

    Attributes:
        to_padded: the row of each token of the padded form; padding repeats its text's last token, which changes no
            maximum; shape (n_texts * seq_len,).
        to_rows: the place of each row in the padded form, 0 for rows of no text; shape (n_rows,).
        key_mask: 0 for tokens and -inf for padding, shape (n_texts, 1, seq_len).
        token_mask: 1 for tokens and 0 for padding, shape (n_texts, seq_len, 1).
    """

    to_padded: Tensor
    to_rows: Tensor
    key_mask: Tensor
    token_mask: Tensor


class Layout:
    """The shape of a batch of texts.

    Attributes:
        ids: token ids of all texts, one after the other, then zeros up to a multiple of 64; shape (n_rows,).
        positions: the position of each token in its text, shape (n_rows,).
        n_texts, seq_len: of the padded form; seq_len is the longest text.
        starts: the first row of each text, and the end of the last one, int64, shape (n_texts + 1,).
        counts: tokens of each text, float32, shape (n_texts, 1).
    """

    def __init__(self, token_ids: Sequence[Sequence[int]], device: torch.device) -> None:
        lengths = np.array([len(ids) for ids in token_ids])
        n_tokens = int(lengths.sum())
        self.n_texts, self.seq_len = len(lengths), int(lengths.max())
        self.starts = np.concatenate([[0], np.cumsum(lengths)])
        self._device, self._lengths = device, lengths
        filler = np.zeros(-n_tokens % ROW_MULTIPLE, dtype=np.int64)
        ids = np.fromiter(chain.from_iterable(token_ids), dtype=np.int64, count=n_tokens)
        positions = np.arange(n_tokens) - np.repeat(self.starts[:-1], lengths)
        self.ids = self._on_device(np.concatenate([ids, filler]))
        self.positions = self._on_device(np.concatenate([positions, filler]))
        self.counts = self._on_device(lengths.astype(np.float32)[:, None])

    def _on_device(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self._device)

    @cached_property
    def padding(self) -> Padding | None:
        """How the padded form is made; None where nothing is padding."""
        columns = np.arange(self.seq_len)
        is_token = columns < self._lengths[:, None]
        if is_token.all():
            return None
        to_rows = np.zeros(len(self.ids), dtype=np.int64)
        to_rows[: self.starts[-1]] = np.flatnonzero(is_token)
        return Padding(
            self._on_device((self.starts[:-1, None] + np.minimum(columns, self._lengths[:, None] - 1)).reshape(-1)),
            self._on_device(to_rows),
            self._on_device(np.where(is_token, 0, MASKED).astype(np.float32)[:, None]),
            self._on_device(is_token.astype(np.float32)[:, :, None]),
        )

    def pad(self, rows: Tensor, out: Tensor) -> Tensor:
        """Return a matrix of shape (n_rows, dim) by text, shape (n_texts * seq_len, dim); in `out` if it is a copy.

        Padding repeats the last token of its text.
        """
        if self.padding is None:
            return rows[: self.n_texts * self.seq_len]
        return torch.index_select(rows, 0, self.padding.to_padded, out=out)

    def unpad(self, padded: Tensor, out: Tensor) -> Tensor:
        """Return the tokens of a padded matrix packed, without padding between texts, shape (n_rows, dim).

        Args:
            padded: shape (n, dim), n the larger of n_rows and n_texts * seq_len; rows after the texts are undefined.
            out: shape (n_rows, dim), for the result where it is a copy.
        """
        if self.padding is None:
            padded[self.n_texts * self.seq_len :].zero_()
            return padded
        return torch.index_select(padded, 0, self.padding.to_rows, out=out)

    def pool(self, hidden: Tensor, pooling: str, buffers: Buffers) -> Tensor:
        """Return one vector a text, float32, shape (n_texts, dim), for "mean+max" (n_texts, 2 * dim).

        Args:
            hidden: the last hidden state, shape (n_rows, dim), without negative zeros.
            pooling: "cls" (the first token), "mean", "max", or "mean+max" (both, side by side).
        """
        shape = (self.n_texts * self.seq_len, hidden.shape[1])
        padded = self.pad(hidden, buffers.get("pooled", shape)).view(self.n_texts, self.seq_len, -1)
        if pooling == "cls":
            return padded[:, 0].clone()
        pooled = [padded.amax(1)] if "max" in pooling else []  # padding repeats a token
        if "mean" in pooling:
            summands = padded if self.padding is None else padded * self.padding.token_mask
            pooled.insert(0, adjacent_sums(summands) / self.counts)
        return torch.cat(pooled, dim=1)


Weights = Mapping[str, Tensor]


class Linear(NamedTuple):
    """A quantized linear layer: its integers as a product, their scale by output, and its bias or None.

    `quantize` makes integers and scales by row of its input. `for_kernels` is the same product as compiled kernels take
    it, for 8 bits on the CPU, and `weight` its integers as int8, (n_outputs, n_inputs), for 8 bits on a GPU.
    """

    product: Product
    scales: Tensor
    bias: Tensor | None
    quantize: Callable[[Tensor, Buffers], tuple[Tensor, Tensor]]
    for_kernels: OperandProduct | None
    weight: Tensor | None

    def whole_bias(self, more: Tensor | None) -> Tensor:
        """Return the bias, shape (n_outputs,), 0 where there is none; `more` is added to the first outputs."""
        whole = torch.zeros_like(self.scales)
        for summand in (self.bias, more):
            if summand is not None:
                whole[: len(summand)] += summand
        return whole


class Norm(NamedTuple):
    """Weight and bias of a layer norm."""

    weight: Tensor
    bias: Tensor


class Layer(NamedTuple):
    """The weights of one layer; query, key and value are one product, and `query_bias` belongs to its first third."""

    query_key_value: Linear
    query_bias: Tensor
    attention_output: Linear
    attention_norm: Norm
    intermediate: Linear
    output: Linear
    output_norm: Norm


class QuantizedWeights:
    """The weights of an encoder by their names in its file, quantized to 8 or 16 bits on a device."""

    def __init__(self, config: TransformerConfig, weights: Weights, bits: int, device: torch.device) -> None:
        self._config, self._weights, self._bits, self._device = config, weights, bits, device

    def embeddings(self) -> tuple[Tensor, Tensor, Norm]:
        """Return the vectors of words, shape (vocab_size, embedding_size), of positions, and the layer norm."""
        # a text is one segment, of type 0
        positions = self._tensor(EMBEDDINGS["position"]) + self._tensor(EMBEDDINGS["token_type"])[0]
        return self._tensor(EMBEDDINGS["word"]), positions, self._norm(EMBEDDING_NORM)

    def projection(self) -> Linear | None:
        """Return the layer from embedding_size to hidden_size, which an ALBERT has."""
        return self._named(PROJECTION, has_outliers=True) if self._config.model_type == "albert" else None

    def layers(self) -> list[Layer]:
        """Return the layers from first to last; those that share weights are one object."""
        prefixes = layer_prefixes(self._config)
        layers = {prefix: self._layer(prefix) for prefix in dict.fromkeys(prefixes)}
        return [layers[prefix] for prefix in prefixes]

    def _layer(self, prefix: str) -> Layer:
        keys = LAYER_KEYS[self._config.model_type].under(prefix)
        inputs = [self._tensor(f"{name}.weight") for name in (keys.query, keys.key, keys.value)]
        output = self._tensor(f"{keys.attention_output}.weight")
        # The weights of a softmax add up to 1, so the bias of the values passes through it; and it does not change
        # when a number is added to all scores of a query, which is what a bias of the keys does.
        value_bias = matrix_vector(output, self._tensor(f"{keys.value}.bias"))
        return Layer(
            self._linear(torch.cat(inputs), None, has_outliers=True),
            self._tensor(f"{keys.query}.bias"),
            self._linear(output, self._tensor(f"{keys.attention_output}.bias").add_(value_bias)),
            self._norm(keys.attention_norm),
            self._named(keys.intermediate, has_outliers=True),
            self._named(keys.output, fine=self._config.model_type == "bert"),
            self._norm(keys.output_norm),
        )

    def _tensor(self, name: str) -> Tensor:
        # + 0.0: no negative zero, so that none gets into a feature, where a maximum could take either zero
        return self._weights[name].to(self._device, torch.float32) + 0.0

    def _norm(self, name: str) -> Norm:
        return Norm(self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias"))

    def _named(self, name: str, has_outliers: bool = False, fine: bool = False) -> Linear:
        return self._linear(self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias"), has_outliers, fine)

    def _linear(self, weight: Tensor, bias: Tensor | None, has_outliers: bool = False, fine: bool = False) -> Linear:
        """Quantize a layer; in 8 bits, inputs with outliers are split, and `fine` ones take 12 bits."""
        integers, scales = quantize_weight(weight, self._bits)
        if self._bits == 16:
            return Linear(integer_product(integers, 16), scales, bias, partial(quantize_rows, 16), None, None)
        by_norm = has_outliers and weight.shape[1] <= MAX_DIM_BY_NORM
        on_gpu = uses_triton(self._device)
        kernels = None if on_gpu else operand_product(integers, by_norm), integers.to(torch.int8) if on_gpu else None
        if by_norm:
            return Linear(outlier_product(integers), scales, bias, quantize_rows_by_norm, *kernels)
        if fine:
            return Linear(product_of_12_bits(integers), scales, bias, partial(quantize_rows, 12), *kernels)
        return Linear(integer_product(integers, 8), scales, bias, partial(quantize_rows, 8), *kernels)


def matrix_vector(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return matrix @ vector, float32, by float64 products and sums in a fixed order."""
    products = matrix.double().mul_(vector.double())
    return row_sums(products, Buffers(matrix.device)).squeeze(1).float()


def attention(
    query_key_value: Tensor, layout: Layout, n_heads: int, max_len: int, bits: int, buffers: Buffers
) -> Tensor:
    """Return softmax(q k' / sqrt(head_dim)) v by text and head, float32, shape (n_rows, hidden_size).

    Args:
        query_key_value: float32, shape (n_rows, 3 * hidden_size).
        max_len: the most tokens that a text can have.
        bits: 8 computes in float32, 16 in float64.
    """
    n_rows, width = query_key_value.shape
    n_texts, seq_len, head_dim = layout.n_texts, layout.seq_len, width // 3 // n_heads
    dtype = torch.float32 if bits == 8 else torch.float64
    levels, weight_levels, value_levels = attention_levels(head_dim, max_len, bits)

    padded = layout.pad(query_key_value, buffers.get("padded", (n_texts * seq_len, width)))
    by_head = padded.view(n_texts, seq_len, 3, n_heads, head_dim)
    largest = largest_sizes(by_head, -1).amax(1).clamp_(min=MIN_MAX)  # (n_texts, 3, n_heads)
    limits = torch.tensor([levels, levels, value_levels], dtype=torch.float32, device=padded.device).view(1, 3, 1)
    factors = (limits / largest).view(n_texts, 1, 3, n_heads, 1)
    scales = (largest / limits).to(dtype).unbind(1)  # three of shape (n_texts, n_heads)

    integers = buffers.get("attention_integers", (3, n_texts, n_heads, seq_len, head_dim))
    torch.mul(by_head.permute(2, 0, 3, 1, 4), factors.permute(2, 0, 3, 1, 4), out=integers).round_()
    if dtype != torch.float32:
        integers = buffers.get("attention_integers", tuple(integers.shape), dtype).copy_(integers)
    query, key, value = integers.view(3, n_texts * n_heads, seq_len, head_dim).unbind(0)

    products = buffers.get("attention_products", (n_texts * n_heads, seq_len, seq_len), dtype)
    torch.bmm(query, key.transpose(1, 2), out=products)
    products.mul_((scales[0] * scales[1]).mul_(1 / sqrt(head_dim)).view(-1, 1, 1))
    scores = products if dtype == torch.float32 else buffers.get("scores", tuple(products.shape)).copy_(products)
    if layout.padding is not None:
        scores.view(n_texts, n_heads, seq_len, seq_len).add_(layout.padding.key_mask.unsqueeze(1))
    softmax_integers_(scores, weight_levels, max_len, bits, buffers)
    weights = scores if dtype == torch.float32 else products.copy_(scores)

    context = torch.bmm(weights, value, out=buffers.get("context", tuple(value.shape), dtype))
    context = context.view(n_texts, n_heads, seq_len, head_dim).transpose(1, 2)
    by_text = buffers.get("context_by_text", (max(n_rows, n_texts * seq_len), width // 3))
    out = by_text[: n_texts * seq_len].view(n_texts, seq_len, n_heads, head_dim)
    scale_into(out, context, scales[2].mul(1 / weight_levels).view(n_texts, 1, n_heads, 1))
    return layout.unpad(by_text, buffers.get("context_rows", (n_rows, width // 3)))


def attention_levels(head_dim: int, max_len: int, bits: int) -> tuple[int, int, int]:
    """Return the largest integers of queries and keys, the integer of the softmax weight 1, and the largest of values.

    head_dim * levels^2 and (weight_levels + max_len / 2) * value_levels are the largest sums: within 2^24 for 8 bits
    and 2^53 for 16.
    """
    if bits == 16:
        return 32_639, 2**24, 32_639
    weight_levels = 2**13
    return isqrt(2**24 // head_dim), weight_levels, 2**24 // (weight_levels + max_len)


def uses_triton(device: torch.device) -> bool:
    """Return whether compiled kernels are Triton's: on a GPU, and where Triton's interpreter takes its place."""
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


def min_activations() -> float:
    """Return how many activations a model must be asked for before it loads the kernels.

    Raises:
        EncoderError: the environment variable SENTIMENT_KERNELS is unknown.
    """
    choice = os.environ.get(KERNELS, "auto")
    if choice not in MIN_ACTIVATIONS:
        raise EncoderError(f"{KERNELS} is '{choice}'; expected one of {', '.join(MIN_ACTIVATIONS)}")
    return MIN_ACTIVATIONS[choice]


class ExactTransformer:
    """A frozen BERT or ALBERT without pooling layer, in integers of 8 or 16 bits.

    Attributes:
        config: its sizes.
        bits: 8 or 16.
    """

    @torch.inference_mode()
    def __init__(self, config: TransformerConfig, weights: Weights, bits: int, device: torch.device) -> None:
        self.config = config
        self.bits = bits
        self.device = device
        self._scratch = local()  # a thread computes in memory of its own
        quantized = QuantizedWeights(config, weights, bits, device)
        self._embeddings = quantized.embeddings()
        self._projection = quantized.projection()
        self._layers = quantized.layers()
        self._with_kernels: FusedTransformer | GpuTransformer | None = None
        self._lock = Lock()
        self._n_activations = 0  # that were asked for
        self._activations_per_token = config.num_hidden_layers * config.intermediate_size
        widest = max(config.hidden_size, self._embeddings[0].shape[1])
        can_use_kernels = bits == 8 and device.type in ("cpu", "cuda") and widest <= MAX_DIM_BY_NORM
        self._min_activations = min_activations() if can_use_kernels else inf

    @torch.inference_mode()
    def encode(self, token_ids: Sequence[Sequence[int]], pooling: str) -> Tensor:
        """Return one vector a text, float32, shape (n_texts, dim); texts of similar length are quickest."""
        return self._forward(Layout(token_ids, self.device), pooling)[0]

    @property
    def _buffers(self) -> Buffers:
        """The scratch memory of the calling thread."""
        if not hasattr(self._scratch, "buffers"):
            self._scratch.buffers = Buffers(self.device)
        buffers: Buffers = self._scratch.buffers
        return buffers

    @torch.inference_mode()
    def encode_with_tokens(self, token_ids: Sequence[Sequence[int]], pooling: str) -> tuple[Tensor, list[Tensor]]:
        """Return what `encode` does, and the last hidden state of each text, float32, shape (n_tokens, hidden_size)."""
        pooled, hidden = self._forward(Layout(token_ids, self.device), pooling)
        lengths = [len(ids) for ids in token_ids]
        vectors = hidden[: sum(lengths)].clone()  # the buffers are used again
        return pooled, list(torch.split_with_sizes(vectors, lengths))

    def _forward(self, layout: Layout, pooling: str) -> tuple[Tensor, Tensor]:
        """Return one vector a text, and the last hidden state of each token, by kernels where they are faster."""
        fused = self._fused() if self._n_activations >= self._min_activations else None
        hidden = fused.hidden(layout, self._buffers) if fused else self._hidden(layout)
        pool = fused.pool if fused else Layout.pool
        return pool(layout, hidden, pooling, self._buffers), hidden

    def expect(self, n_tokens: int) -> None:
        """Prepare for so many tokens more: many of them are encoded by the compiled kernels, which changes no byte."""
        self._n_activations += n_tokens * self._activations_per_token

    def load_kernels(self) -> None:
        """Use the compiled kernels from now on, where they can be; takes half a second, or some to compile them."""
        if self._min_activations < inf:
            self._min_activations = 0.0
            self.encode([[0]], "mean+max")  # compiles them

    @property
    def has_kernels(self) -> bool:
        """Whether the compiled kernels are loaded."""
        return self._with_kernels is not None

    def _fused(self) -> "FusedTransformer | GpuTransformer | None":
        """Return the encoder as the kernels take it; None where there are none, or those of a GPU differ."""
        with self._lock:
            if self._with_kernels is None and self._min_activations < inf:
                try:
                    self._with_kernels = self._make_fused()
                except (ImportError, EncoderError) as error:
                    level = logging.INFO if isinstance(error, EncoderError) else logging.DEBUG
                    log.log(level, "encode: torch's operations compute, for there are no kernels: %s", error)
                    self._min_activations = inf
            return self._with_kernels

    def _make_fused(self) -> "FusedTransformer | GpuTransformer":
        """Return the encoder as the kernels take it.

        Raises:
            ImportError: Numba or Triton is not installed.
            EncoderError: the kernels are not for this encoder, or do not give the bytes of torch's operations here.
        """
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        levels = attention_levels(head_dim, self.config.max_position_embeddings, self.bits)
        parts = self.config, self._embeddings, self._projection, self._layers, levels
        if not uses_triton(self.device):
            from sentiment.encoder.fused import FusedTransformer  # imports Numba

            return FusedTransformer(*parts)
        from sentiment.encoder.fused_gpu import GpuTransformer  # imports Triton

        fused = GpuTransformer(*parts)
        longest = min(TRIED_TOKENS, self.config.max_position_embeddings)
        ids = [token % self.config.vocab_size for token in range(longest)]
        layout = Layout([ids, ids[:1], ids[: longest // 2 + 1]], self.device)
        fused.check(layout, self._hidden(layout).clone())
        return fused

    def _hidden(self, layout: Layout) -> Tensor:
        """Return the last hidden state of each token, shape (n_rows, hidden_size)."""
        shape, eps, buffers = (len(layout.ids), self.config.hidden_size), self.config.layer_norm_eps, self._buffers
        words, positions, norm = self._embeddings
        embedded_shape = (shape[0], words.shape[1])
        x = torch.index_select(words, 0, layout.ids, out=buffers.get("embedded", embedded_shape))
        x.add_(torch.index_select(positions, 0, layout.positions, out=buffers.get("positions", embedded_shape)))
        layer_norm_(x, *norm, eps, buffers)
        if self._projection:
            x = self._linear(x, self._projection, buffers.get("hidden", shape))
        for layer in self._layers:
            context = self._attention(x, layer, layout)  # (n_rows, hidden_size)
            y = self._linear(context, layer.attention_output, buffers.get("attention_output", shape)).add_(x)
            x = layer_norm_(y, *layer.attention_norm, eps, buffers)
            intermediate = buffers.get("intermediate", (shape[0], self.config.intermediate_size))
            intermediate = gelu_(self._linear(x, layer.intermediate, intermediate), self.config.gelu, buffers)
            y = self._linear(intermediate, layer.output, buffers.get("hidden", shape)).add_(x)
            x = layer_norm_(y, *layer.output_norm, eps, buffers)
        return x

    def _attention(self, x: Tensor, layer: Layer, layout: Layout) -> Tensor:
        """Return the output of the attention heads for each token, shape (n_rows, hidden_size)."""
        n_rows, hidden = x.shape
        query_key_value = self._linear(
            x, layer.query_key_value, self._buffers.get("query_key_value", (n_rows, 3 * hidden))
        )
        query_key_value[:, :hidden].add_(layer.query_bias)
        return attention(
            query_key_value,
            layout,
            self.config.num_attention_heads,
            self.config.max_position_embeddings,
            self.bits,
            self._buffers,
        )

    def _linear(self, x: Tensor, linear: Linear, out: Tensor) -> Tensor:
        """Return x times the weight, plus the bias, in `out`, float32 of shape (n_rows, n_outputs)."""
        integers, scales = linear.quantize(x, self._buffers)
        sums = linear.product(integers, self._buffers)
        for rows in row_blocks(out):
            scale_into(out[rows], sums(rows).mul_(scales[rows]), linear.scales)
            if linear.bias is not None:
                out[rows].add_(linear.bias)
        return out
