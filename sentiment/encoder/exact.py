"""The forward pass of a BERT or an ALBERT in exact arithmetic: the same bits on every processor, in every batch.

    model = ExactTransformer(config, weights, bits=8, device=torch.device("cpu"))
    vectors = model.encode([[2, 17, 3]], "mean")

Products are of integers, which have no rounding and so no order (`numerics.integer_product`); everything else is
elementwise, or a sum in a fixed order. Activations and weights have 8 or 16 bits. Every number depends on the tokens
of its own text only: scales are by token, or by text and head, and padding adds integer zeros.

Devlin et al., BERT, 2019, https://arxiv.org/abs/1810.04805; Lan et al., ALBERT, 2020, https://arxiv.org/abs/1909.11942.
"""

from collections.abc import Sequence
from threading import local

import torch
from torch import Tensor

from sentiment.encoder.exact_attention import attention
from sentiment.encoder.exact_pooling import pool
from sentiment.encoder.exact_weights import Layer, Linear, QuantizedWeights, Weights
from sentiment.encoder.families import TransformerConfig
from sentiment.encoder.layout import Layout
from sentiment.numerics.blocks import row_blocks
from sentiment.numerics.buffers import Buffers
from sentiment.numerics.elementwise import gelu_, scale_into
from sentiment.numerics.layer_norm import layer_norm_


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
        self._words, self._positions, self._embedding_norm = quantized.embeddings()
        self._projection = quantized.projection()
        self._layers = quantized.layers()

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
