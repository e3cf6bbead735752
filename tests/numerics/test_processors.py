"""Training and metrics have the same bytes under emulated processors, BLAS kernels and numbers of threads."""

import json
import os
import subprocess
import sys
import warnings
from typing import Any

import pytest
import torch
from numpy._core._multiarray_umath import __cpu_dispatch__  # the list that NPY_DISABLE_CPU_FEATURES takes

from tests.project import ROOT

# what NumPy has SIMD code for, by its own names, which change between versions: X86_V4 is AVX-512, X86_V3 AVX2
ALL_SIMD = " ".join(__cpu_dispatch__)
AVX512 = " ".join(name for name in __cpu_dispatch__ if name.startswith(("AVX512", "X86_V4")))
HAS_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"  # else OpenBLAS ends by an illegal instruction
PROCESSORS: dict[str, dict[str, str]] = {
    "this one, two threads": {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "Prescott": {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": ALL_SIMD},
    "Nehalem, two threads": {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "2"},
    **({"SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"}} if HAS_AVX512 else {}),
    "NumPy without AVX-512": {"NPY_DISABLE_CPU_FEATURES": AVX512},
    "NumPy without SIMD beyond its baseline": {"NPY_DISABLE_CPU_FEATURES": ALL_SIMD},
}


def hashes(environment: dict[str, str]) -> dict[str, Any]:
    """Run `tests.numerics.hashes` in a process of its own, with one thread unless the environment says otherwise."""
    single = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        # NumPy warns of a feature that cannot be disabled, because this processor or this build lacks it
        [sys.executable, "-W", "ignore", "-m", "tests.numerics.hashes"],
        cwd=ROOT,
        env={**os.environ, **single, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture(scope="module")
def by_processor() -> dict[str, dict[str, Any]]:
    return {name: hashes(environment) for name, environment in PROCESSORS.items()}


def test_training_and_metrics_have_one_hash_on_every_processor(by_processor: dict[str, dict[str, Any]]) -> None:
    expected = hashes({})
    for name, found in by_processor.items():
        differing = [key for key, value in found["exact"].items() if value != expected["exact"][key]]
        assert not differing, f"on {name}"
    if {found["plain"] for found in by_processor.values()} == {expected["plain"]}:
        warnings.warn("the variables did not change a float32 product here: this run proves nothing", stacklevel=1)
