"""The kernels give the same bytes whatever processor Numba compiles for, and contain no fused multiply-add."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.numerics.kernel_hashes import FUSED
from tests.project import ROOT

pytestmark = pytest.mark.slow  # compiles all kernels each time

IS_X86 = platform.machine() in ("x86_64", "AMD64")
x86 = pytest.mark.skipif(not IS_X86, reason="compiles for processors of another architecture")
# a list of features, be it empty, adds to those of the named processor; without one they are this machine's
PROCESSORS = [
    pytest.param({}, id="this processor"),
    pytest.param(
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "SENTIMENT_INT8": "float32"},
        id="SSE2, no int8 products",
    ),
    pytest.param(
        {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma", "SENTIMENT_INT8": "multiply-add"},
        marks=x86,
        id="AVX2 and FMA, multiply-adds",
    ),
]


def compiled(cache: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run `tests.numerics.kernel_hashes` without compiled kernels: machine code from the cache cannot be read."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.numerics.kernel_hashes"],
        cwd=ROOT, env={**os.environ, "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("environment", PROCESSORS)
def test_every_processor_gives_the_bytes_of_torch_without_fused_operations(
    environment: dict[str, str], tmp_path: Path
) -> None:
    result = compiled(tmp_path, environment)
    assert result["hashes"]["always"] == result["hashes"]["never"]
    assert result["fused"] == []
    assert result["lines"] > 100, "else nothing was disassembled"
    assert result["n_compiled"] >= 8
    if IS_X86 and environment:
        assert result["has_avx"] == (environment["NUMBA_CPU_NAME"] != "generic")
        assert result["has_multiply_add"] == (environment["SENTIMENT_INT8"] == "multiply-add")


def test_the_search_finds_fused_operations() -> None:
    for line in (
        "\tvfmadd213ps\t%zmm1, %zmm2",
        "\tvfnmsub132ss %xmm0",
        "\tfmla\tv0.4s, v1.4s",
        "\tfmadd\ts0, s1, s2, s3",
    ):
        assert FUSED.search(line), line
    assert FUSED.search("\tvaddps\t%zmm1, %zmm2\n\tvmulps\t%zmm1\n\tfmul\tv0.4s\n\tfadd\ts0") is None
