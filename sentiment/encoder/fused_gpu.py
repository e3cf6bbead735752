"""Compute the 8-bit forward pass of `encoder.exact` on a GPU with Triton's kernels: the same bytes, in fewer passes.

`exact` computes with torch's operations and stays the reference. Here a product and what follows it are one kernel of
`numerics.gpu_kernels`, and so are a layer norm and the quantization of its result.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from triton.runtime.errors import TritonError

from sentiment.common.errors import EncoderError
from sentiment.encoder.families import TransformerConfig
from sentiment.numerics import gpu_kernels
from sentiment.numerics.functions import Gelu, exp_levels
from sentiment.numerics.gpu_kernels import Operand
from sentiment.numerics.memory import Buffers

if TYPE_CHECKING:
    from sentiment.encoder.exact import Layer, Layout, Linear, Norm


class GpuLinear(NamedTuple):
    """A linear layer: int8 weights (n_outputs, n_inputs), their scales and the bias by output, shape (n_outputs,)."""

    weight: Tensor
    scales: Tensor
    bias: Tensor

    @classmethod
    def of(cls, linear: "Linear", bias: Tensor | None = None) -> "GpuLinear":
        """Return a layer for kernels; `bias` for the first outputs, where the layer has none of its own."""
        if linear.weight is None:
            raise ValueError("kernels are for 8 bits")
        return cls(linear.weight, linear.scales, linear.whole_bias(bias))

    def __call__(self, x: Operand, out: Tensor, *, gelu: Gelu | None = None, residual: Tensor | None = None) -> Tensor:
        """Return what `gpu_kernels.linear` writes in `out`, shape (n_rows, n_outputs)."""
        return gpu_kernels.linear(x, *self, out, gelu=gelu, residual=residual)


class GpuTransformer:
    """The weights of an encoder for Triton's kernels.

    Args:
        config: its sizes.
        embeddings: vectors of words and positions, and their layer norm.
        projection: the layer from embedding_size to hidden_size, which an ALBERT has.
        layers: from first to last; those that share weights are one object.
        attention_levels: of `exact.attention_levels`.

    Raises:
        EncoderError: the kernels are not for rows of this encoder's widths.
    """

    def __init__(
        self,
        config: TransformerConfig,
        embeddings: "tuple[Tensor, Tensor, Norm]",
        projection: "Linear | None",
        layers: "Sequence[Layer]",
        attention_levels: tuple[int, int, int],
    ) -> None:
        widths = config.hidden_size, config.embedding_size or config.hidden_size
        if not all(map(gpu_kernels.fits, widths)):
            raise EncoderError(f"Triton's kernels do not sum rows of {' and '.join(map(str, widths))} numbers")
        self._config = config
        self._embeddings = embeddings
        self._projection = GpuLinear.of(projection) if projection else None
        self._layers = layers
        self._linears = {
            id(layer): (
                GpuLinear.of(layer.query_key_value, layer.query_bias),
                GpuLinear.of(layer.attention_output),
                GpuLinear.of(layer.intermediate),
                GpuLinear.of(layer.output),
            )
            for layer in layers
        }
        self._levels = attention_levels
        self._output_bits = 12 if config.model_type == "bert" else 8

    def check(self, layout: "Layout", expected: Tensor) -> None:
        """Raise EncoderError where the kernels do not give the last hidden state of a batch, or do not compile here.

        No GPU was at hand when they were written, so each process compares them before it uses them.
        """
        try:
            found = self.hidden(layout, Buffers(expected.device))
        except (RuntimeError, TritonError) as error:  # no compiler on this machine, or a GPU that Triton does not know
            raise EncoderError(f"Triton's kernels do not run here: {error}") from error
        if not torch.equal(found[: layout.starts[-1]], expected[: layout.starts[-1]]):
            raise EncoderError("Triton's kernels do not give the bytes of torch's operations here")

    @torch.inference_mode()
    def hidden(self, layout: "Layout", buffers: Buffers) -> Tensor:
        """Return the last hidden state of each token, shape (n_rows, hidden_size); there until the next call."""
        n_rows, eps = len(layout.ids), self._config.layer_norm_eps
        starts = torch.from_numpy(layout.starts).to(layout.ids.device)
        x = buffers.get("hidden", (n_rows, self._config.hidden_size))
        query_key_value = buffers.get("query_key_value", (n_rows, 3 * self._config.hidden_size))
        intermediate = buffers.get("intermediate", (n_rows, self._config.intermediate_size))
        exp_level = exp_levels(self._config.max_position_embeddings)
        operand = self._embed(layout, x, buffers)
        for layer in self._layers:
            project, merge, widen, narrow = self._linears[id(layer)]
            context = gpu_kernels.attended(
                project(operand, query_key_value), starts, layout.seq_len, self._config.num_attention_heads,
                self._levels, exp_level, buffers,
            )  # fmt: skip
            operand = gpu_kernels.normalized(merge(context, x, residual=x), layer.attention_norm, eps, buffers)
            widen(operand, intermediate, gelu=self._config.gelu)
            activation = gpu_kernels.quantized(intermediate, self._output_bits, buffers)
            operand = gpu_kernels.normalized(narrow(activation, x, residual=x), layer.output_norm, eps, buffers)
        return x

    @staticmethod
    def pool(layout: "Layout", hidden: Tensor, pooling: str, buffers: Buffers) -> Tensor:
        """Return what `Layout.pool` does, by it."""
        return layout.pool(hidden, pooling, buffers)

    def _embed(self, layout: "Layout", x: Tensor, buffers: Buffers) -> Operand:
        """Write the input of the first layer in x, shape (n_rows, hidden_size), and return it quantized."""
        words, positions, norm = self._embeddings
        shape, eps = (len(x), words.shape[1]), self._config.layer_norm_eps
        out = x if self._projection is None else buffers.get("embedded", shape)
        torch.index_select(words, 0, layout.ids, out=out)
        out.add_(torch.index_select(positions, 0, layout.positions, out=buffers.get("positions", shape)))
        operand = gpu_kernels.normalized(out, norm, eps, buffers)
        if self._projection is None:
            return operand
        return gpu_kernels.normalized(self._projection(operand, x), None, eps, buffers)
