"""Attention in integers: queries, keys, values and softmax weights are integers in float32 or float64 products.

The largest integers are chosen so that no sum can exceed 2^24 (float32) or 2^53 (float64): every product is exact,
whatever its order, and a padded key, whose weight is the integer 0, changes nothing.
"""

from math import isqrt, sqrt

import torch
from torch import Tensor

from sentiment.encoder.layout import Layout
from sentiment.numerics.buffers import Buffers
from sentiment.numerics.elementwise import scale_into
from sentiment.numerics.quantization import MIN_MAX, largest_sizes
from sentiment.numerics.softmax import softmax_integers_


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
    if layout.key_mask is not None:
        scores.view(n_texts, n_heads, seq_len, seq_len).add_(layout.key_mask.unsqueeze(1))
    softmax_integers_(scores, weight_levels, max_len, bits, buffers)
    weights = scores if dtype == torch.float32 else products.copy_(scores)

    context = torch.bmm(weights, value, out=buffers.get("context", tuple(value.shape), dtype))
    context = context.view(n_texts, n_heads, seq_len, head_dim).transpose(1, 2)
    by_text = buffers.get("context_by_text", (max(n_rows, n_texts * seq_len), width // 3))
    out = by_text[: n_texts * seq_len].view(n_texts, seq_len, n_heads, head_dim)
    scale_into(out, context, scales[2].mul(1 / weight_levels).view(n_texts, 1, n_heads, 1))
    return layout.unpad(by_text, buffers.get("context_rows", (n_rows, width // 3)))


def attention_levels(head_dim: int, max_len: int, bits: int) -> tuple[int, int, int]:
    """Return the largest integers of queries and keys, the integer of the softmax weight 1, and that of values.

    head_dim * levels^2 and (weight_levels + max_len / 2) * value_levels are the largest sums: within 2^24 for 8 bits
    and 2^53 for 16.
    """
    if bits == 16:
        return 32_639, 2**24, 32_639
    weight_levels = 2**13
    return isqrt(2**24 // head_dim), weight_levels, 2**24 // (weight_levels + max_len)
