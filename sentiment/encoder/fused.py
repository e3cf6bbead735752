"""Compute the 8-bit forward pass of `encoder.exact` with compiled kernels: the same bytes, in fewer passes over memory.

`exact` computes with torch's operations and stays the reference. Here each product is followed by one kernel of
`numerics.kernels`, which finishes the linear layer and makes the integers of the next product.
"""

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sentiment.encoder.families import TransformerConfig
from sentiment.numerics import kernels
from sentiment.numerics.functions import exp_levels
from sentiment.numerics.memory import Buffers
from sentiment.numerics.multiply_add import faster_product
from sentiment.numerics.products import OperandProduct
from sentiment.numerics.quantization import LEVELS, outlier_capacity

if TYPE_CHECKING:
    from sentiment.encoder.exact import Layer, Layout, Linear, Norm

f4 = np.float32
UNLIMITED = f4(2**22)  # above each integer of an operand that holds its outliers itself
MAX_ATTENTION = 2**18  # numbers that attention computes with at one time: 1 MB, a core's second cache

Array = NDArray[Any]
Float32s = NDArray[np.float32]


class Operand(NamedTuple):
    """The input of a product, as `numerics.kernels` describes it; shapes (n_rows, n_inputs), (n_rows,), (n_rows, n)."""

    integers: Tensor
    scales: Float32s
    outliers: NDArray[np.int32]


class FusedLinear(NamedTuple):
    """A linear layer: its product, and its scales and bias by output, shape (n_outputs,).

    `by_input` is its weight, int8 of shape (n_inputs, n_outputs), by which kernels add outliers; without rows where the
    operand holds them.
    """

    product: OperandProduct
    by_input: NDArray[np.int8]
    scales: Float32s
    bias: Float32s

    @classmethod
    def of(cls, linear: "Linear", bias: Tensor | None = None) -> "FusedLinear":
        """Return a layer for kernels; `bias` for the first outputs, where the layer has none of its own."""
        if linear.for_kernels is None:
            raise ValueError("kernels are for 8 bits on the CPU")
        product = faster_product(linear.for_kernels)
        by_input = product.columns if product.operand_type == torch.int8 else torch.empty((0, 0), dtype=torch.int8)
        return cls(product, by_input.numpy(), linear.scales.numpy(), linear.whole_bias(bias).numpy())

    def operand(self, n_rows: int, name: str, buffers: Buffers) -> Operand:
        """Return the memory of an operand for this layer."""
        n_inputs = len(self.product.columns)
        return Operand(
            buffers.get(f"operand_{name}", (n_rows, n_inputs), self.product.operand_type),
            array(buffers, f"scales_{name}", (n_rows,)),
            array(buffers, f"outliers_{name}", (n_rows, 1 + 2 * outlier_capacity(n_inputs)), torch.int32),
        )

    def limit(self) -> np.float32:
        """Return the largest integer that an operand of this layer holds itself."""
        return kernels.MAX_INT8 if self.product.operand_type == torch.int8 else UNLIMITED

    def sums(self, integers: Tensor, buffers: Buffers, name: str = "sums") -> Array:
        """Return the product of an operand's integers with the weight, shape (n_rows, n_outputs)."""
        out = buffers.get(name, (len(integers), len(self.scales)), self.product.sums_type)
        self.product.multiply(integers, out, buffers)
        return out.numpy()


class FusedNorm(NamedTuple):
    """Weight, bias and epsilon of a layer norm."""

    weight: Float32s
    bias: Float32s
    eps: np.float32

    @classmethod
    def of(cls, norm: "Norm", eps: float) -> "FusedNorm":
        """Return a layer norm for kernels."""
        return cls(norm.weight.numpy(), norm.bias.numpy(), f4(eps))


class FusedLayer(NamedTuple):
    """The weights of one layer."""

    query_key_value: FusedLinear
    attention_output: FusedLinear
    attention_norm: FusedNorm
    intermediate: FusedLinear
    output: FusedLinear
    output_norm: FusedNorm

    @classmethod
    def of(cls, layer: "Layer", eps: float) -> "FusedLayer":
        """Return a layer for kernels."""
        return cls(
            FusedLinear.of(layer.query_key_value, layer.query_bias),
            FusedLinear.of(layer.attention_output),
            FusedNorm.of(layer.attention_norm, eps),
            FusedLinear.of(layer.intermediate),
            FusedLinear.of(layer.output),
            FusedNorm.of(layer.output_norm, eps),
        )


def array(buffers: Buffers, name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Array:
    """Return a buffer as an array."""
    return buffers.views(name, shape, Tensor.numpy, dtype)


class FusedTransformer:
    """The weights of an encoder for kernels, on the CPU.

    Args:
        config: its sizes.
        embeddings: vectors of words and positions, and their layer norm.
        projection: the layer from embedding_size to hidden_size, which an ALBERT has.
        layers: from first to last; those that share weights are one object.
        attention_levels: of `exact.attention_levels`.
    """

    def __init__(
        self,
        config: TransformerConfig,
        embeddings: "tuple[Tensor, Tensor, Norm]",
        projection: "Linear | None",
        layers: "Sequence[Layer]",
        attention_levels: tuple[int, int, int],
    ) -> None:
        eps = config.layer_norm_eps
        self._config = config
        self._words, self._positions = (vectors.numpy() for vectors in embeddings[:2])
        self._embedding_norm = FusedNorm.of(embeddings[2], eps)
        self._projection = FusedLinear.of(projection) if projection else None
        fused = {id(layer): FusedLayer.of(layer, eps) for layer in {id(layer): layer for layer in layers}.values()}
        self._layers = [fused[id(layer)] for layer in layers]
        levels, weight_levels, value_levels = attention_levels
        self._levels, self._weight_levels = np.array([levels, levels, value_levels], np.float32), weight_levels
        self._output_levels = LEVELS[12] if config.model_type == "bert" else LEVELS[8]

    def hidden(self, layout: "Layout", buffers: Buffers) -> Tensor:
        """Return the last hidden state of each token, shape (n_rows, hidden_size); there until the next call."""
        n_rows, hidden = len(layout.ids), buffers.get("hidden", (len(layout.ids), self._config.hidden_size))
        x = hidden.numpy()
        operand = self._embed(layout, x, buffers)
        nothing, scratch = array(buffers, "nothing", (0, 0), torch.int32), row_scratch(buffers, x.shape[1])
        for layer, next_layer in zip(self._layers, (*self._layers[1:], self._layers[-1]), strict=True):
            context = self._attention(operand, layer, layout, buffers)
            linear, operand = layer.attention_output, layer.intermediate.operand(n_rows, "hidden", buffers)
            kernels.add_and_norm(
                linear.sums(context.integers, buffers), nothing, context.scales, linear.scales, linear.bias,
                *layer.attention_norm, layer.intermediate.limit(), x, *arrays(operand), scratch,
            )  # fmt: skip
            activation, high = self._activate(operand, layer, buffers)
            linear, operand = layer.output, next_layer.query_key_value.operand(n_rows, "hidden", buffers)
            high_sums = nothing if high is None else linear.sums(high, buffers, "high_sums")
            kernels.add_and_norm(
                linear.sums(activation.integers, buffers), high_sums, activation.scales, linear.scales, linear.bias,
                *layer.output_norm, next_layer.query_key_value.limit(), x, *arrays(operand), scratch,
            )  # fmt: skip
        return hidden

    @staticmethod
    def pool(layout: "Layout", hidden: Tensor, pooling: str, buffers: Buffers) -> Tensor:
        """Return what `Layout.pool` does."""
        if pooling == "cls":
            return hidden[torch.from_numpy(layout.starts[:-1])]
        n_texts, dim = layout.n_texts, hidden.shape[1]
        mean, largest = (torch.empty((n_texts if kind in pooling else 0, dim)) for kind in ("mean", "max"))
        sums = array(buffers, "pooled", ((layout.seq_len + 1) // 2, dim))
        kernels.pool(hidden.numpy(), layout.starts, mean.numpy(), largest.numpy(), sums)
        return torch.cat([one for one in (mean, largest) if len(one)], dim=1)

    def _embed(self, layout: "Layout", x: Float32s, buffers: Buffers) -> Operand:
        """Write the input of the first layer in x, shape (n_rows, hidden_size), and return it quantized.

        Raises:
            IndexError: a token is not in the vocabulary, or a text is too long; kernels do not check what they index.
        """
        ids = layout.ids.numpy()
        if ids.min() < 0 or ids.max() >= len(self._words) or layout.seq_len > len(self._positions):
            raise IndexError("a token or a position is out of range")
        n_rows, first = len(x), self._layers[0].query_key_value
        if self._projection is None:
            out, target, operand = x, first, first.operand(n_rows, "hidden", buffers)
        else:
            out, target = array(buffers, "embedded", (n_rows, self._words.shape[1])), self._projection
            operand = target.operand(n_rows, "embedded", buffers)
        kernels.embed(
            ids, layout.positions.numpy(), self._words, self._positions, *self._embedding_norm,
            target.limit(), out, *arrays(operand), row_scratch(buffers, out.shape[1]),
        )  # fmt: skip
        if self._projection is None:
            return operand
        projected = first.operand(n_rows, "hidden", buffers)
        kernels.project(
            target.sums(operand.integers, buffers), operand.outliers, target.by_input, operand.scales,
            target.scales, target.bias, first.limit(), x, *arrays(projected), row_scratch(buffers, x.shape[1]),
        )  # fmt: skip
        return projected

    def _activate(self, x: Operand, layer: FusedLayer, buffers: Buffers) -> tuple[Operand, Tensor | None]:
        """Return the quantized GELU of a layer's intermediate output; of 12 bits, the lower and the upper part."""
        linear, n_rows = layer.intermediate, len(x.scales)
        out = layer.output.operand(n_rows, "intermediate", buffers)
        has_high = self._output_levels != LEVELS[8]
        high = buffers.get("operand_high", (n_rows if has_high else 0, out.integers.shape[1]), out.integers.dtype)
        kernels.activate(
            linear.sums(x.integers, buffers), x.outliers, linear.by_input, x.scales, linear.scales, linear.bias,
            self._config.gelu == "erf", f4(self._output_levels), out.integers.numpy(), high.numpy(), out.scales,
            array(buffers, "scratch", (2, out.integers.shape[1] + 1)),
        )  # fmt: skip
        return out, high if has_high else None

    def _attention(self, x: Operand, layer: FusedLayer, layout: "Layout", buffers: Buffers) -> Operand:
        """Return the output of the attention heads, quantized; some texts at a time, so that scores stay in the cache.

        See `exact.attention`.
        """
        linear, n_heads, seq_len = layer.query_key_value, self._config.num_attention_heads, layout.seq_len
        head_dim = self._config.hidden_size // n_heads
        sums = linear.sums(x.integers, buffers)
        out = layer.attention_output.operand(len(sums), "context", buffers)
        end = layout.starts[-1]
        out.integers[end:].zero_()  # rows that belong to no text
        out.scales[end:] = 0
        integers, scratch = out.integers.numpy(), array(buffers, "scratch", (sums.shape[1],))
        exp_one = f4(exp_levels(self._config.max_position_embeddings))
        step = max(1, MAX_ATTENTION // (seq_len * (4 * self._config.hidden_size + n_heads * seq_len)))
        for first in range(0, layout.n_texts, step):
            starts = layout.starts[first : first + step + 1]
            n_texts = len(starts) - 1
            scales = array(buffers, "head_scales", (n_texts, 3, n_heads))
            heads, query, key, value = buffers.views("heads", (3, n_texts, n_heads, seq_len, head_dim), head_views)
            kernels.quantize_heads(
                sums, x.outliers, linear.by_input, x.scales, linear.scales, linear.bias, starts, self._levels,
                heads, scales, scratch,
            )  # fmt: skip
            scores, products = buffers.views("scores", (n_texts, n_heads, seq_len, seq_len), matrix_views)
            torch.bmm(query, key, out=products)
            kernels.softmax_weights(scores, starts, scales, f4(1 / sqrt(head_dim)), f4(self._weight_levels), exp_one)
            context, products_of_value = buffers.views("context", (n_texts, n_heads, seq_len, head_dim), matrix_views)
            torch.bmm(products, value, out=products_of_value)
            kernels.quantize_context(
                context, starts, scales, f4(1 / self._weight_levels), integers, out.scales, scratch
            )
        return out


def arrays(operand: Operand) -> tuple[Array, Float32s, NDArray[np.int32]]:
    """Return an operand for kernels."""
    return operand.integers.numpy(), operand.scales, operand.outliers


def row_scratch(buffers: Buffers, dim: int) -> Float32s:
    """Return the scratch memory of a kernel that normalizes or quantizes rows by their norm."""
    return array(buffers, "scratch", (kernels.ROWS, dim + 1))


def head_views(heads: Tensor) -> tuple[Float32s, Tensor, Tensor, Tensor]:
    """Return queries, keys and values (3, n_texts, n_heads, seq_len, head_dim) as an array, and as factors of products.

    Queries and values have the shape (n_texts * n_heads, seq_len, head_dim), keys the transposed one.
    """
    query, key, value = heads.flatten(1, 2).unbind(0)
    return heads.numpy(), query, key.transpose(1, 2), value


def matrix_views(matrices: Tensor) -> tuple[Float32s, Tensor]:
    """Return matrices by text and head as an array, and as a tensor of three dimensions."""
    return matrices.numpy(), matrices.flatten(0, 1)
