"""The pipeline gives the same bytes, and so the same dvc.lock, under emulated processors and numbers of threads.

The variables make the libraries take the code that they have for other processors. Float arithmetic depends on them:
the last test shows it for a float32 encoder. Each emulated processor is one process that runs the sample and, where
REVIEWS_CSV names them, real reviews; and the first stages alone on tables of every format, and by every kind of split.
"""

import csv
import hashlib
import html
import io
import os
import platform
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from numpy._core._multiarray_umath import __cpu_dispatch__  # the list that NPY_DISABLE_CPU_FEATURES takes

from tests.numerics.test_processors import HAS_AVX512
from tests.pipeline_run import assert_same_outputs, remove_outputs, stages_of
from tests.project import DEFAULTS, ROOT, SAMPLE, Project, copy_reviews, make_project
from tests.stages.conftest import PARAMS as FORMAT_PARAMS
from tests.stages.test_large_tables import HEADER, reviews
from tests.stages.test_prepare_formats import FILES

pytestmark = pytest.mark.slow

N_REVIEWS = 80  # of each source: several batches of several lengths
N_TO_SPLIT = 602
SPLITS: dict[str, dict[str, str]] = {
    "group": {"group_column": "Product"},
    "time": {"time_column": "Date", "val_from": "2023-01-01", "test_from": "2023-07-01"},
    "column": {"column": "part"},
}
LOCK = "dvc.lock"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def kernels_for(processor: str, **more: str) -> dict[str, str]:
    """Return the variables that compile the encoder's kernels for an x86 processor, and use them for few tokens too.

    A list of features, be it empty, adds to those of the named processor; without one Numba takes this machine's.
    `more` are variables that only such a processor knows.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return {"SENTIMENT_KERNELS": "always"}
    return {"SENTIMENT_KERNELS": "always", "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": "", **more}


OLDEST = "SSE, one thread, no native int8"
PROCESSORS: dict[str, dict[str, str]] = {
    OLDEST: {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "SENTIMENT_INT8": "float32",
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__),
        **kernels_for("generic"),
        **ONE_THREAD,
    },
    "AVX2, two threads": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "OMP_NUM_THREADS": "2",
        **kernels_for("haswell", NUMBA_CPU_FEATURES="+avx2,+fma", SENTIMENT_INT8="multiply-add"),
    },
    "AVX-512 without VNNI": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "OPENBLAS_CORETYPE": "SkylakeX" if HAS_AVX512 else "Haswell",
        "SENTIMENT_KERNELS": "always",
    },
    "MKL for any processor": {"MKL_CBWR": "COMPATIBLE", "OPENBLAS_CORETYPE": "Nehalem"},
    "one thread, no kernels": {"SENTIMENT_KERNELS": "never", **ONE_THREAD},
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


def test_the_committed_lock_is_that_of_the_oldest_processor(tmp_path: Path) -> None:
    """The whole sample by dvc repro; `make verify` does the same on the processor of this machine."""
    expected = committed_lock()
    if expected is None:
        pytest.skip("this checkout's params.yaml is not the default one")
    project = make_project(tmp_path / "project", {})
    (project.root / "params.yaml").write_bytes((ROOT / "tests/defaults/params.yaml").read_bytes())
    project.run("dvc", "repro", "--force", "-q", check=True, **PROCESSORS[OLDEST])
    assert (project.root / LOCK).read_bytes() == expected


def project_of(source: Path, root: Path, n_folds: int = 0, has_words: bool = True) -> Project:
    """Return a project with the first reviews of a file and the default pipeline, which has not run."""
    params: dict[str, dict[str, object]] = {
        "prepare": {"source": "data/raw/some.csv"},
        "split": {"folds": n_folds},
        "train": {"words": has_words},
        "check": {"cases": 5},
    }
    project = make_project(root, params)
    copy_reviews(source, root / "data/raw/some.csv", N_REVIEWS)
    return project


def run_pipelines(folders: list[Path], runner: Project, **environment: str) -> None:
    """Run the stages of each folder, all in one process with the modules of one project."""
    runner.run("python", "-m", "tests.pipeline_run", *map(str, folders), check=True, **environment)


@pytest.fixture(scope="module")
def native_projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Project]:
    """Projects of the sample, without words and cross-validated too, and of real reviews if any, run here."""
    sources = {"sample": ROOT / SAMPLE}
    if path := os.environ.get("REVIEWS_CSV"):
        sources["real"] = Path(path)
    folder = tmp_path_factory.mktemp("native")
    projects = {name: project_of(source, folder / name) for name, source in sources.items()}
    projects["features"] = project_of(ROOT / SAMPLE, folder / "features", has_words=False)
    projects["folds"] = project_of(ROOT / SAMPLE, folder / "folds", n_folds=3)
    run_pipelines([project.root for project in projects.values()], projects["sample"])
    return projects


def write_tables(root: Path) -> list[Path]:
    """Write a folder for each kind of split, and for each format of a table: params, data, and its stages alone."""
    folders = []

    def add(name: str, file: str, content: bytes, params: dict[str, dict[str, object]]) -> None:
        folder = root / name
        (folder / "data/prepare").mkdir(parents=True)
        (folder / "metrics").mkdir()
        (folder / file).write_bytes(content)
        stages = {stage: stages_of(ROOT)[stage] for stage in params}
        (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
        (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        folders.append(folder)

    rows = io.StringIO(newline="")
    parts = ("train", "val", "train", "test", "train")
    written: list[tuple[str, ...]] = list(reviews(N_TO_SPLIT))
    # texts that are in several splits
    written += [
        (title.upper(), text.upper(), *others)
        for (title, text, *_), (_, _, *others) in zip(written[:50], written[51:], strict=False)
    ]
    csv.writer(rows).writerows([(*HEADER, "part"), *((*row, parts[number % 5]) for number, row in enumerate(written))])
    defaults = yaml.safe_load((DEFAULTS / "params.yaml").read_bytes())
    prepare = {**defaults["prepare"], "source": "reviews.csv", "slice_columns": ["Product", "Date", "part"]}
    for mode, keys in SPLITS.items():
        params = {"prepare": prepare, "split": {**defaults["split"], **keys}}
        add(f"split_by_{mode}", "reviews.csv", rows.getvalue().encode(), params)
    for file, (content, options) in FILES.items():
        add(f"format_{file}", file, content, {"prepare": {**FORMAT_PARAMS, "source": file, **options}})
    escaped = html.escape(FILES["reviews.csv"][0].decode(), quote=False).encode()
    add("html", "reviews.csv", escaped, {"prepare": {**FORMAT_PARAMS, "source": "reviews.csv", "decode_html": True}})
    return folders


@pytest.fixture(scope="module")
def native_tables(native_projects: dict[str, Project], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of `write_tables`, run as this machine runs them."""
    folders = write_tables(tmp_path_factory.mktemp("tables"))
    run_pipelines(folders, native_projects["sample"])
    return folders


@pytest.mark.parametrize("processor", PROCESSORS)
def test_every_output_is_the_same_bytes(
    native_projects: dict[str, Project], native_tables: list[Path], processor: str, tmp_path: Path
) -> None:
    copies = {name: project.copy(tmp_path / name) for name, project in native_projects.items()}
    stages = list(stages_of(ROOT))
    for project in copies.values():
        for stage in stages:
            remove_outputs(project.root, stage)
    tables = write_tables(tmp_path / "tables")
    folders = [*(project.root for project in copies.values()), *tables]
    run_pipelines(folders, copies["sample"], **PROCESSORS[processor])
    for name, project in copies.items():
        assert_same_outputs(native_projects[name].root, project.root, stages, processor)
    for native, emulated in zip(native_tables, tables, strict=True):
        assert_same_outputs(native, emulated, list(stages_of(native)), f"{processor} for {native.name}")


def test_the_variables_change_the_features_of_float32(native_projects: dict[str, Project], tmp_path: Path) -> None:
    """Else the tests above would prove nothing on this machine."""
    project = native_projects["sample"].copy(tmp_path / "project")
    encode = shlex.split("python -m stages.encode --split data/split --encoder models/encoder --output float32")

    def digest(environment: dict[str, str]) -> str:
        project.run(*encode, check=True, **environment)
        return hashlib.sha256((project.root / "float32/test.npy").read_bytes()).hexdigest()

    project.set_params(encode={"precision": "float32"})
    assert digest(PROCESSORS[OLDEST]) != digest({}), "no variable changed the features of float32"
