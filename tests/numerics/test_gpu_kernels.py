"""Triton's kernels give the bytes of torch's operations in its interpreter, and no GPU gets a fused multiply-add."""

import os
import re
import subprocess
import sys
from functools import cache
from typing import Any, NamedTuple

import pytest

from tests.project import ROOT

pytest.importorskip("triton", reason="pip install triton==3.7.1, on Linux")

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from sentiment.numerics import gpu_kernels

ARCHITECTURES = [80, 90, 100]  # A100, H100 and H200, B200
FLOATS, INTEGERS = "*fp32", "*i8"
TYPES = {
    **dict.fromkeys(("x_rows", "norm_weight", "norm_bias", "bias", "residual", "out", "products", "context"), FLOATS),
    **dict.fromkeys(("scales", "row_scales", "column_scales"), FLOATS),
    **dict.fromkeys(("integers", "high", "weight"), INTEGERS),
    **dict.fromkeys(("eps", "level", "value_level", "inverse_root", "exp_level", "inverse_level"), "fp32"),
    **dict.fromkeys(("n_rows", "n_inputs", "n_outputs", "n_texts", "seq_len"), "i32"),
    "outliers": "*i32",
    "starts": "*i64",
}  # fmt: skip
TILE = {"tile_rows": 64, "tile_columns": 64, "tile_inputs": 64}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("normalize_rows", {"leaves": 8, "odd": 3, "wide": 4, "capacity": 22, "has_norm": True}),
    ("normalize_rows", {"leaves": 8, "odd": 1, "wide": 1, "capacity": 8, "has_norm": False}),
    ("multiply", {"capacity": 22, "has_high": False, "has_residual": False, "activation": "erf", **TILE}),
    ("multiply", {"capacity": 8, "has_high": False, "has_residual": False, "activation": "tanh", **TILE}),
    ("multiply", {"capacity": 0, "has_high": True, "has_residual": True, "activation": "none", **TILE}),
    ("quantize_rows", {"dim": 3072, "block": 4096, "levels": 2032, "has_high": True}),
    ("quantize_heads", {"n_heads": 12, "head_dim": 64, "wide": 64, "n_at_once": 32}),
    ("weigh_keys", {"n_heads": 12, "n_queries": 8, "n_keys": 128}),
    ("quantize_context", {"n_heads": 12, "head_dim": 64, "block": 1024}),
]


class Code(NamedTuple):
    """What a kernel is compiled to: the intermediate language, and the machine code of a GPU."""

    ptx: str
    sass: str

    def count(self, pattern: str) -> int:
        """Return how often the intermediate language has an instruction."""
        return len(re.findall(rf"\s{pattern}", self.ptx))

    @property
    def n_fused(self) -> int:
        """Fused multiply-adds of float32 in the machine code."""
        return self.sass.count("FFMA")


def compiled(kernel: Any, constants: dict[str, Any], architecture: int, **options: Any) -> Code:
    types = {name: "constexpr" if name in constants else TYPES[name] for name in kernel.arg_names}
    source = ASTSource(kernel, signature=types, constexprs=constants)
    asm = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options).asm
    return Code(asm["ptx"], asm["sass"])


@triton.jit
def quotients(x_rows, scales, n: tl.constexpr):
    for i in tl.static_range(n):
        tl.store(scales + i, tl.div_rn(1.0, tl.load(x_rows + i)))


@triton.jit
def roots(x_rows, scales, n: tl.constexpr):
    for i in tl.static_range(n):
        tl.store(scales + i, tl.sqrt_rn(tl.load(x_rows + i)))


@cache
def expansions(architecture: int) -> dict[str, tuple[int, int]]:
    """Return by instruction the fused multiply-adds that the first one expands to, and each later one."""
    n_fused = {}
    for kernel, pattern in ((quotients, r"div\.rn"), (roots, r"sqrt\.rn")):
        one, two = (compiled(kernel, {"n": n}, architecture).n_fused for n in (1, 2))
        n_fused[pattern] = one, two - one
    return n_fused


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("name", "constants"), CASES, ids=[f"{n}-{c.get('activation', '')}" for n, c in CASES])
def test_machine_code_has_no_fused_operation_of_ours(name: str, constants: dict[str, Any], architecture: int) -> None:
    code = compiled(getattr(gpu_kernels, name), constants, architecture, **gpu_kernels.STRICT)
    assert code.count(r"fma\.") == 0
    assert code.count(r"add\.") > 0
    assert ".ftz" not in code.ptx, "small numbers stay as they are"
    assert ".approx" not in code.ptx
    assert code.count(r"(add|sub|mul)\.(ftz\.)?f32") == 0, "without .rn, the assembler may fuse them"
    counts = {pattern: code.count(pattern) for pattern in expansions(architecture)}
    allowed = [
        first + (counts[pattern] - 1) * later
        for pattern, (first, later) in expansions(architecture).items()
        if counts[pattern]
    ]
    assert code.n_fused <= sum(allowed)


@pytest.mark.slow
def test_without_the_option_there_would_be_fused_operations() -> None:
    name, constants = CASES[2]
    code = compiled(getattr(gpu_kernels, name), constants, 90, enable_fp_fusion=True)
    assert code.count(r"fma\.rn\.f32") > 0
    assert code.n_fused > 0


@pytest.mark.slow
def test_the_interpreter_gives_the_bytes_of_torch() -> None:
    """In a process of its own: Triton decides when it is imported whether it interprets."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-o", "addopts=--import-mode=importlib"]
    run = subprocess.run(
        [*command, "-W", "ignore::RuntimeWarning", "tests/numerics/interpreted.py"], cwd=ROOT, text=True,
        capture_output=True, timeout=1800, check=False,
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-5_000:] + run.stderr[-2_000:]
