"""The stage `encode` on an engine: the bytes that it writes alone, so dvc.lock does not change."""

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.batch.conftest import TIMEOUT, workers_of
from tests.project import SAMPLE, Project
from tests.s3_server import wait_for

pytestmark = pytest.mark.slow

REVIEWS = "data/raw/many.csv"
REPEATS = 3  # of the sample, each with other texts: three units of the train split, one of val and of test
ENCODE = ("dvc", "repro", "--single-item", "--force", "encode")


@pytest.fixture(scope="module")
def encoded(project_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with several units of reviews, whose pipeline has run without an engine; committed."""
    root = tmp_path_factory.mktemp("encode_on_engine") / "project"
    shutil.copytree(project_template.root, root, symlinks=True)
    sample = pd.read_csv(root / SAMPLE, dtype="str", keep_default_na=False)
    copies = [sample.assign(**{"Review Text": sample["Review Text"] + f" Copy {copy}."}) for copy in range(REPEATS)]
    pd.concat(copies).to_csv(root / REVIEWS, index=False)
    project = Project(root)
    project.set_params(prepare={"source": REVIEWS}, encode={"max_length": 24})
    project.run("dvc", "repro")
    project.commit("Run the pipeline")
    return project


def check_unchanged(project: Project) -> None:
    """Check that neither DVC nor git sees a change, dvc.lock included."""
    assert project.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert project.run("git", "status", "--porcelain").stdout == ""


def n_bytes_written(project: Project) -> int:
    """Return how long the features of train are that are being written."""
    return max((path.stat().st_size for path in (project.root / "data/encode").glob(".train.npy.*.partial")), default=0)


def test_encoding_on_ray_leaves_dvc_status_clean_although_a_worker_is_killed(encoded: Project) -> None:
    pytest.importorskip("ray")
    before = (encoded.root / "data/encode/train.npy").stat().st_ino
    with subprocess.Popen(
        ENCODE,
        cwd=encoded.root,
        env=encoded.environment(RAY_ADDRESS="local"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            wait_for(lambda: n_bytes_written(encoded) > 1_000, TIMEOUT)  # a unit is written
            wait_for(lambda: workers_of(process), TIMEOUT)
            for worker in workers_of(process):
                worker.kill()
            output, _ = process.communicate(timeout=TIMEOUT)
        finally:
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
                child.kill()
            process.kill()
    assert process.returncode == 0, output
    assert "reviews on ray, 512-dimensional features" in output
    assert (encoded.root / "data/encode/train.npy").stat().st_ino != before, "nothing was encoded"
    check_unchanged(encoded)


@pytest.mark.parametrize(
    ("params", "environment", "message"),
    [
        ({}, {"RAY_ADDRESS": "local", "PYTHONPATH": "{without_ray}"}, "pip install 'frozen-albert-sentiment[ray]'"),
        ({"precision": "float32"}, {"RAY_ADDRESS": "auto"}, "encode.precision float32 gives other last digits"),
    ],
)
def test_what_an_engine_cannot_do_is_one_line(
    encoded: Project, tmp_path: Path, params: dict[str, object], environment: dict[str, str], message: str
) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError('No module named ray', name='ray')\n")
    project = Project(tmp_path)
    shutil.copy(encoded.root / "params.yaml", tmp_path / "params.yaml")
    project.set_params(encode=params)
    options = ("--params", str(tmp_path / "params.yaml"), "--output", str(tmp_path / "features"))
    inputs = ("--split", "data/split", "--encoder", "models/encoder")
    variables = {name: value.format(without_ray=tmp_path) for name, value in environment.items()}
    done = encoded.run("python", "-m", "stages.encode", *inputs, *options, check=False, **variables)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert message in done.stderr
    assert not (tmp_path / "features").exists()
