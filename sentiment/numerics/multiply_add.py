"""Multiply 16-bit integers by 8-bit weights exactly on x86 processors that have AVX2 and no fast int8 instructions.

The instruction PMADDWD multiplies sixteen pairs of 16-bit integers and adds neighbors as int32, so it adds twice as
many products as a float32 multiply-add of the same width, and rounds nothing. LLVM finds it in no loop over arrays, so
the innermost loop is written in LLVM's language. Outliers of an operand fit in 16 bits and need no columns of their
own, and sums stay far below 2^31 where `products` needs them below 2^24.

A block of ROWS x COLUMNS sums stays in registers while the loop passes over the inputs. What it reads lies in the order
of reading: `packed` has the shape (n_outputs / COLUMNS, n_inputs / 2, COLUMNS, 2).
"""

import os
from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba.core import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

from sentiment.common.errors import EncoderError
from sentiment.numerics import compiling
from sentiment.numerics.memory import Buffers
from sentiment.numerics.products import VARIABLE, OperandProduct, fastest

LANES = 8  # 32-bit numbers in a register
VECTORS = 2
ROWS, COLUMNS = 6, VECTORS * LANES  # 12 sums, 2 vectors of weights and an input: 15 of 16 registers
CHUNK = 96  # rows whose inputs stay in the second cache while all weights pass

Int16s = NDArray[np.int16]
kernel = compiling.kernel(__file__)


@intrinsic
def add_block(typing: Any, x: Any, x_stride: Any, weights: Any, out: Any, out_stride: Any, n_pairs: Any) -> Any:
    """Write ROWS x COLUMNS sums of n_pairs pairs of products each; arguments are addresses, strides are in bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, x_stride, weights, out, out_stride, n_pairs = arguments
        int64, int32 = ir.IntType(64), ir.IntType(32)
        pairs, sums_type = ir.VectorType(ir.IntType(16), 2 * LANES), ir.VectorType(int32, LANES)
        instruction = builder.module.declare_intrinsic(
            "llvm.x86.avx2.pmadd.wd", (), ir.FunctionType(sums_type, [pairs, pairs])
        )
        undefined, first_lane = ir.Constant(sums_type, ir.Undefined), ir.Constant(sums_type, [0] * LANES)

        def at(address: Any, stride: Any, n: Any, kind: Any) -> Any:
            return builder.inttoptr(builder.add(address, builder.mul(stride, n)), kind.as_pointer())

        start, loop, end = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("end")
        builder.branch(loop)
        builder.position_at_end(loop)
        pair, sums = builder.phi(int64), [[builder.phi(sums_type) for _ in range(VECTORS)] for _ in range(ROWS)]
        pair.add_incoming(int64(0), start)
        of_pair = builder.add(weights, builder.mul(pair, int64(4 * COLUMNS)))
        loaded = [builder.load(at(of_pair, int64(4 * LANES), int64(v), pairs), align=4) for v in range(VECTORS)]
        added = []
        for i, row in enumerate(sums):
            inputs = builder.load(at(builder.add(x, builder.mul(x_stride, int64(i))), int64(4), pair, int32), align=2)
            inputs = builder.insert_element(undefined, inputs, int32(0))
            inputs = builder.bitcast(builder.shuffle_vector(inputs, undefined, first_lane), pairs)
            added.append([builder.add(row[v], builder.call(instruction, [inputs, loaded[v]])) for v in range(VECTORS)])
        following = builder.add(pair, int64(1))
        pair.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, n_pairs), loop, end)
        builder.position_at_end(end)
        for i in range(ROWS):
            of_row = builder.add(out, builder.mul(out_stride, int64(i)))
            for v in range(VECTORS):
                sums[i][v].add_incoming(first_lane, start)  # zeros
                sums[i][v].add_incoming(added[i][v], loop)
                builder.store(added[i][v], at(of_row, int64(4 * LANES), int64(v), sums_type), align=4)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6), generate


@kernel
def multiply(x: Int16s, packed: Int16s, out: NDArray[np.int32]) -> None:
    """Write x (n_rows, n_inputs) times the weights of `packed` in out (n_rows, n_outputs); at least ROWS rows."""
    n_rows, n_inputs = x.shape
    x_stride, out_stride, panel_size = 2 * n_inputs, 4 * out.shape[1], 2 * n_inputs * COLUMNS
    x_start, weights, out_start = x.ctypes.data, packed.ctypes.data, out.ctypes.data
    for chunk in range(0, n_rows, CHUNK):
        for panel in range(len(packed)):
            for i in range(chunk, min(chunk + CHUNK, n_rows), ROWS):
                first = min(i, n_rows - ROWS)  # the last block may repeat rows
                add_block(  # type: ignore[call-arg]  # Numba passes the first argument
                    x_start + first * x_stride, x_stride, weights + panel * panel_size,
                    out_start + first * out_stride + panel * 4 * COLUMNS, out_stride, n_inputs >> 1,
                )  # fmt: skip


def multiply_add_product(columns: Tensor) -> OperandProduct:
    """Return the product with weights of shape (n_inputs, n_outputs), integers in [-127, 127].

    Raises:
        ValueError: n_inputs is odd, or n_outputs no multiple of COLUMNS.
    """
    n_inputs, n_outputs = columns.shape
    if not _fits(columns):
        raise ValueError(f"weights of shape {(n_inputs, n_outputs)}; expected (2 * n, {COLUMNS} * m)")
    by_panel = columns.to(torch.int16).reshape(n_inputs // 2, 2, n_outputs // COLUMNS, COLUMNS).permute(2, 0, 3, 1)
    packed = by_panel.contiguous().numpy()

    def product(operand: Tensor, out: Tensor, _: Buffers) -> None:
        if len(operand) < ROWS:
            raise ValueError(f"{len(operand)} rows; expected at least {ROWS}")
        multiply(operand.numpy(), packed, out.numpy())

    return OperandProduct(torch.int16, torch.int32, product, columns)


def faster_product(product: OperandProduct) -> OperandProduct:
    """Return a product by multiply-adds in place of one by float32, where that is faster on this processor.

    Raises:
        EncoderError: the environment variable SENTIMENT_INT8 asks for what this processor has not.
    """
    if product.operand_type == torch.float32 and _fits(product.columns) and is_used():
        return multiply_add_product(product.columns)
    return product


def _fits(columns: Tensor) -> bool:
    """Return whether weights of shape (n_inputs, n_outputs) are whole pairs of inputs and whole blocks of outputs."""
    return columns.shape[0] % 2 == 0 and columns.shape[1] % COLUMNS == 0


def is_used() -> bool:
    """Return whether multiply-adds take the place of float32 products: asked for, or faster by a trial."""
    choice = os.environ.get(VARIABLE, "auto")
    if choice == "multiply-add" and not has_instruction():
        raise EncoderError(f"{VARIABLE} is '{choice}', but this processor, or what Numba compiles for, has no AVX2")
    return choice == "multiply-add" or (choice == "auto" and has_instruction() and _is_faster())


def has_instruction() -> bool:
    """Return whether the processor that Numba compiles for has AVX2; LLVM ends the process where it has not."""
    features: str = cpu_target.target_context.codegen().magic_tuple()[2]
    return "+avx2" in features.split(",")


@cache
def _is_faster() -> bool:
    """Time a product both ways; the first call compiles."""
    columns, x, buffers = torch.ones((512, 256)), torch.ones((256, 512)), Buffers(torch.device("cpu"))
    by_floats, by_integers, operand = torch.empty((256, 256)), torch.empty((256, 256), dtype=torch.int32), x.short()
    product = multiply_add_product(columns)
    product.multiply(operand, by_integers, buffers)
    return (
        fastest(
            {
                "multiply-add": lambda: product.multiply(operand, by_integers, buffers),
                "float32": lambda: torch.mm(x, columns, out=by_floats),
            }
        )
        == "multiply-add"
    )
