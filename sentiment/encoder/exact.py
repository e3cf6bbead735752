"""The forward pass of a BERT or an ALBERT in exact arithmetic: the same bits on every processor, in every batch.

    model = ExactTransformer(config, weights, bits=8, device=torch.device("cpu"))
    vectors = model.encode([[2, 17, 3]], "mean")

Products are of integers, which have no rounding and so no order (`numerics.integer_product`); everything else is
elementwise, or a sum in a fixed order. Activations and weights have 8 or 16 bits. Every number depends on the tokens
of its own text only: scales are by token, or by text and head, and padding adds integer zeros.

Devlin et al., BERT, 2019, https://arxiv.org/abs/1810.04805; Lan et al., ALBERT, 2020, https://arxiv.org/abs/1909.11942.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import local
from typing import NamedTuple

import torch
from torch import Tensor

from sentiment.encoder.exact_attention import attention
from sentiment.encoder.exact_pooling import pool
from sentiment.encoder.families import (
    EMBEDDING_NORM,
    EMBEDDINGS,
    LAYER_KEYS,
    PROJECTION,
    TransformerConfig,
    layer_prefixes,
)  # fmt: skip
from sentiment.encoder.layout import Layout
from sentiment.numerics.buffers import Buffers
from sentiment.numerics.elementwise import gelu_
from sentiment.numerics.integer_product import integer_product, outlier_product, product_of_12_bits
from sentiment.numerics.layer_norm import layer_norm_
from sentiment.numerics.products import Product
from sentiment.numerics.quantization import MAX_DIM_BY_NORM, quantize_rows, quantize_rows_by_norm, quantize_weight
from sentiment.numerics.sums import row_sums

Weights = Mapping[str, Tensor]


class Linear(NamedTuple):
    """A quantized linear layer: its integers as a product, their scale by output, and its bias or None.

    `quantize` makes integers and scales by row of its input.
    """

    product: Product
    scales: Tensor
    bias: Tensor | None
    quantize: Callable[[Tensor, Buffers], tuple[Tensor, Tensor]]


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
        self._heads = config.num_attention_heads

        def on_device(name: str) -> Tensor:
            # + 0.0: no negative zero, so that none gets into a feature, where a maximum could take either zero
            return weights[name].to(device, torch.float32) + 0.0

        def linear(weight: Tensor, bias: Tensor | None, has_outliers: bool = False, fine: bool = False) -> Linear:
            integers, scales = quantize_weight(weight, bits)
            if bits == 8 and has_outliers and weight.shape[1] <= MAX_DIM_BY_NORM:
                return Linear(outlier_product(integers), scales, bias, quantize_rows_by_norm)
            if bits == 8 and fine:
                return Linear(product_of_12_bits(integers), scales, bias, partial(quantize_rows, 12))
            return Linear(integer_product(integers, bits), scales, bias, partial(quantize_rows, bits))

        def named(name: str, has_outliers: bool = False, fine: bool = False) -> Linear:
            return linear(on_device(f"{name}.weight"), on_device(f"{name}.bias"), has_outliers, fine)

        def norm(name: str) -> Norm:
            return Norm(on_device(f"{name}.weight"), on_device(f"{name}.bias"))

        def layer(prefix: str) -> Layer:
            keys = LAYER_KEYS[config.model_type].under(prefix)
            inputs = [on_device(f"{name}.weight") for name in (keys.query, keys.key, keys.value)]
            output = on_device(f"{keys.attention_output}.weight")
            # The weights of a softmax add up to 1, so the bias of the values passes through it; and it does not change
            # when a number is added to all scores of a query, which is what a bias of the keys does.
            value_bias = matrix_vector(output, on_device(f"{keys.value}.bias"))
            return Layer(
                linear(torch.cat(inputs), None, has_outliers=True),
                on_device(f"{keys.query}.bias"),
                linear(output, on_device(f"{keys.attention_output}.bias").add_(value_bias)),
                norm(keys.attention_norm),
                named(keys.intermediate, has_outliers=True),
                named(keys.output, fine=config.model_type == "bert"),
                norm(keys.output_norm),
            )

        self._words = on_device(EMBEDDINGS["word"])
        # a text is one segment, of type 0
        self._positions = on_device(EMBEDDINGS["position"]) + on_device(EMBEDDINGS["token_type"])[0]
        self._embedding_norm = norm(EMBEDDING_NORM)
        self._projection = named(PROJECTION, has_outliers=True) if config.model_type == "albert" else None
        prefixes = layer_prefixes(config)
        layers = {prefix: layer(prefix) for prefix in dict.fromkeys(prefixes)}
        self._layers = [layers[prefix] for prefix in prefixes]

    @torch.inference_mode()
    def encode(self, token_ids: Sequence[Sequence[int]], pooling: str) -> Tensor:
        """Return one vector a text, float32, shape (n_texts, dim); texts of similar length are quickest."""
        layout = Layout(token_ids, self.device)
        return pool(self._hidden(layout), layout, pooling, self._buffers)

    @property
    def _buffers(self) -> Buffers:
        """The scratch memory of the calling thread."""
        if not hasattr(self._scratch, "buffers"):
            self._scratch.buffers = Buffers(self.device)
        buffers: Buffers = self._scratch.buffers
        return buffers

    @torch.inference_mode()
    def token_vectors(self, token_ids: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return the last hidden state of each text, float32, shape (n_tokens, hidden_size)."""
        hidden = self._hidden(Layout(token_ids, self.device)).clone()  # the buffers are used again
        lengths = [len(ids) for ids in token_ids]
        return list(torch.split_with_sizes(hidden[: sum(lengths)], lengths))

    def _hidden(self, layout: Layout) -> Tensor:
        """Return the last hidden state of each token, shape (n_rows, hidden_size)."""
        shape, eps, buffers = (len(layout.ids), self.config.hidden_size), self.config.layer_norm_eps, self._buffers
        embedded_shape = (shape[0], self._words.shape[1])
        x = torch.index_select(self._words, 0, layout.ids, out=buffers.get("embedded", embedded_shape))
        x.add_(torch.index_select(self._positions, 0, layout.positions, out=buffers.get("positions", embedded_shape)))
        layer_norm_(x, *self._embedding_norm, eps, buffers)
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
        """Return what the heads bring to each token, shape (n_rows, hidden_size)."""
        n_rows, hidden = x.shape
        query_key_value = self._linear(
            x, layer.query_key_value, self._buffers.get("query_key_value", (n_rows, 3 * hidden))
        )
        query_key_value[:, :hidden].add_(layer.query_bias)
        return attention(
            query_key_value, layout, self._heads, self.config.max_position_embeddings, self.bits, self._buffers
        )

    def _linear(self, x: Tensor, linear: Linear, out: Tensor) -> Tensor:
        """Return x times the weight, plus the bias, in `out`, float32 of shape (n_rows, n_outputs)."""
        integers, scales = linear.quantize(x, self._buffers)
        product = linear.product(integers, self._buffers)
        out.copy_(product.mul_(scales).mul_(linear.scales))
        return out if linear.bias is None else out.add_(linear.bias)


def matrix_vector(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return matrix @ vector, float32, by float64 products and sums in a fixed order."""
    products = matrix.double().mul_(vector.double())
    return row_sums(products, torch.empty_like(products)).squeeze(1).float()
