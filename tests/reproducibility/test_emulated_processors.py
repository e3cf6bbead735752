"""`dvc repro --force` gives one dvc.lock, to the byte, under emulated processors and numbers of threads.

The variables make the libraries take the code that they have for other processors. Float arithmetic depends on them:
the last test shows it for a float32 encoder. Real reviews are added where REVIEWS_CSV names them.
"""

import hashlib
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from numpy._core._multiarray_umath import __cpu_dispatch__  # the list that NPY_DISABLE_CPU_FEATURES takes

from tests.project import ROOT, Project, copy_reviews, make_project

pytestmark = pytest.mark.slow

N_REAL_REVIEWS = 1_000
LOCK = "dvc.lock"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
PROCESSORS: dict[str, dict[str, str]] = {
    "SSE, one thread, no native int8": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "SENTIMENT_INT8": "float32",
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__),
        **ONE_THREAD,
    },
    "AVX2, two threads": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "OMP_NUM_THREADS": "2",
    },
    "AVX-512 without VNNI": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "OPENBLAS_CORETYPE": "SkylakeX"},
    "MKL for any processor": {"MKL_CBWR": "COMPATIBLE", "OPENBLAS_CORETYPE": "Nehalem"},
    "one thread": ONE_THREAD,
    "two threads, native int8 refused": {"OMP_NUM_THREADS": "2", "SENTIMENT_INT8": "float32"},
}


def committed_lock() -> bytes | None:
    """Return the dvc.lock that is committed in this checkout; None where its parameters are not the defaults."""
    committed = {
        name: subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, timeout=60).stdout
        for name in ("params.yaml", LOCK)
    }
    defaults = yaml.safe_load((ROOT / "tests/defaults/params.yaml").read_bytes())
    return committed[LOCK] if yaml.safe_load(committed["params.yaml"]) == defaults else None


@pytest.fixture(scope="module")
def native_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The default pipeline on the sample, run as this machine runs it."""
    root = tmp_path_factory.mktemp("native")
    project = make_project(root, {})
    (root / "params.yaml").write_bytes((ROOT / "tests/defaults/params.yaml").read_bytes())
    project.run("dvc", "repro", "--force", "-q")
    return project


def test_the_committed_lock_is_that_of_this_machine(native_project: Project) -> None:
    expected = committed_lock()
    if expected is None:
        pytest.skip("this checkout's params.yaml is not the default one")
    assert (native_project.root / LOCK).read_bytes() == expected


def assert_same_lock(project: Project, processor: str) -> None:
    lock = project.root / LOCK
    expected = lock.read_bytes()
    project.run("dvc", "repro", "--force", "-q", check=True, **PROCESSORS[processor])
    assert lock.read_bytes() == expected


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_lock_is_the_same_bytes(native_project: Project, processor: str) -> None:
    assert_same_lock(native_project, processor)


@pytest.fixture(scope="module")
def real_project(reviews_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The first real reviews, through the default pipeline."""
    root = tmp_path_factory.mktemp("real")
    project = make_project(root, {"prepare": {"source": "data/raw/real.csv"}})
    copy_reviews(reviews_csv, root / "data/raw/real.csv", N_REAL_REVIEWS)
    project.run("dvc", "repro", "-q")
    return project


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_lock_of_real_reviews_is_the_same_bytes(real_project: Project, processor: str) -> None:
    assert_same_lock(real_project, processor)


def test_the_variables_change_the_features_of_float32(native_project: Project) -> None:
    """Else the tests above would prove nothing on this machine."""
    encode = shlex.split("python -m stages.encode --split data/split --encoder models/encoder --output float32")

    def digest(environment: dict[str, str]) -> str:
        native_project.run(*encode, check=True, **environment)
        return hashlib.sha256((native_project.root / "float32/test.npy").read_bytes()).hexdigest()

    native_project.set_params(encode={"precision": "float32"})
    oldest = "SSE, one thread, no native int8"
    assert digest(PROCESSORS[oldest]) != digest({}), "no variable changed the features of float32"
