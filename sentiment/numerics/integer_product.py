"""Exact matrix products of integers, for weights and activations of 8, 12 and 16 bits.

    product = integer_product(weight, bits=8)
    sums = product(x, buffers)(ALL_ROWS)

`numerics.products` says why they are exact, `numerics.backend` which way a device takes.
"""

import torch
from torch import Tensor

from sentiment.numerics.backend import backend
from sentiment.numerics.buffers import Buffers
from sentiment.numerics.products import (
    ALL_ROWS,
    Product,
    Sums,
    float32_product,
    float64_product,
    int8_product,
    native8_product,
    native16_product,
)  # fmt: skip
from sentiment.numerics.quantization import largest_sizes

MULTIPLE = 8  # what CUDA asks of the inputs and outputs of an int8 product; and of 17 rows, the encoder's are 64


def integer_product(weight: Tensor, bits: int) -> Product:
    """Return the product with a weight; it takes x of shape (n_rows, n_inputs), at least 17 rows on CUDA.

    The result, exact integers of shape (n_rows, n_outputs), is there until the next product: for 8 bits as float32,
    rounded once where it exceeds 2^24; for 16 bits as float64, exact.

    Args:
        weight: integers in float32, shape (n_outputs, n_inputs).
        bits: 8, values in [-127, 127]; or 16, values in [-32639, 32639]. x has the same range.
    """
    native = backend(weight.device) == "native" and all(size % MULTIPLE == 0 for size in weight.shape)
    if bits == 8:
        return native8_product(weight) if native else float32_product(weight)
    return native16_product(weight) if native else float64_product(weight)


def outlier_product(weight: Tensor) -> Product:
    """Return the product of 8-bit weights with integers that may exceed 127, as `quantize_rows_by_norm` makes them.

    The sums stay within 2^24 by the norm of the rows, so a float32 product is exact. Natively, the few columns that
    exceed 127 are split: x = 127 + rest, the rest multiplied with the same weights in columns of its own.
    """
    if backend(weight.device) == "float32" or any(size % MULTIPLE for size in weight.shape):
        columns = weight.t()

        def by_floats(x: Tensor, buffers: Buffers) -> Sums:
            return torch.mm(x, columns, out=buffers.get("product", (len(x), len(weight)))).__getitem__

        return by_floats
    by_input = weight.to(torch.int8).t().contiguous()  # (n_inputs, n_outputs)
    n_inputs, n_outputs = by_input.shape
    by_columns = weight.device.type == "cuda"  # cuBLAS reads the weights of an int8 product column by column

    def native(x: Tensor, buffers: Buffers) -> Sums:
        largest = largest_sizes(x, 0)
        n_rests = max(0, int(largest.amax().item()) - 1) // 127
        outliers = [(largest > 127 * (n + 1)).nonzero().squeeze(1) for n in range(n_rests)]
        n_extra = sum(map(len, outliers))
        width = n_inputs + -(-n_extra // MULTIPLE) * MULTIPLE
        shape = (n_outputs, width) if by_columns else (width, n_outputs)
        weights = buffers.get("weights", shape, torch.int8)
        if by_columns:
            weights = weights.t()
        operand = buffers.get("operand", (len(x), width), torch.int8)
        weights[:n_inputs].copy_(by_input)
        start = n_inputs
        for n, columns in enumerate(outliers):  # the part of an integer between 127 * (n + 1) and 127 * (n + 2)
            rest = torch.index_select(x, 1, columns)
            rest.sub_(rest.clamp(-127 * (n + 1), 127 * (n + 1))).clamp_(-127, 127)
            end = start + len(columns)
            operand[:, start:end].copy_(rest)
            weights[start:end].copy_(torch.index_select(by_input, 0, columns))
            start = end
        operand[:, :n_inputs].copy_(x.clamp_(-127, 127))
        weights[start:].zero_()
        operand[:, start:].zero_()
        return int8_product(operand, weights, buffers)

    return native


def product_of_12_bits(weight: Tensor) -> Product:
    """Return the product of 8-bit weights with integers of up to 2,032, as two products: x = 16 * high + low."""
    product = integer_product(weight, 8)

    def both(x: Tensor, buffers: Buffers) -> Sums:
        high = torch.mul(x, 1 / 16, out=buffers.get("high", tuple(x.shape))).round_()
        coarse = torch.mul(product(high, buffers)(ALL_ROWS), 16.0, out=buffers.get("summand", (len(x), len(weight))))
        fine = product(x.sub_(high.mul_(16.0)), buffers)
        return lambda rows: fine(rows).add_(coarse[rows])

    return both
