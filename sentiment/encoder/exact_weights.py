"""The weights of a BERT or an ALBERT in; the same weights as integers with scales out, ready for exact products.

layers = QuantizedWeights(config, weights, bits=8, device=torch.device("cpu")).layers()
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from sentiment.encoder.families import (
    EMBEDDING_NORM,
    EMBEDDINGS,
    LAYER_KEYS,
    PROJECTION,
    TransformerConfig,
    layer_prefixes,
)  # fmt: skip
from sentiment.numerics.buffers import Buffers
from sentiment.numerics.integer_product import integer_product, outlier_product, product_of_12_bits
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


class QuantizedWeights:
    """The weights of an encoder by their names in its file, quantized to 8 or 16 bits on a device."""

    def __init__(self, config: TransformerConfig, weights: Weights, bits: int, device: torch.device) -> None:
        self._config, self._weights, self._bits, self._device = config, weights, bits, device

    def embeddings(self) -> tuple[Tensor, Tensor, Norm]:
        """Return the vectors of words, shape (vocab_size, embedding_size), those of positions, and the layer norm."""
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
        if self._bits == 8 and has_outliers and weight.shape[1] <= MAX_DIM_BY_NORM:
            return Linear(outlier_product(integers), scales, bias, quantize_rows_by_norm)
        if self._bits == 8 and fine:
            return Linear(product_of_12_bits(integers), scales, bias, partial(quantize_rows, 12))
        return Linear(integer_product(integers, self._bits), scales, bias, partial(quantize_rows, self._bits))


def matrix_vector(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return matrix @ vector, float32, by float64 products and sums in a fixed order."""
    products = matrix.double().mul_(vector.double())
    return row_sums(products, Buffers(matrix.device)).squeeze(1).float()
