"""`sentiment batch --engine ray` writes the bytes of one process; test_faults.py kills its workers."""

import sys
import time
from pathlib import Path

import pytest

from tests.batch.conftest import Batch, outputs
from tests.project import Project

pytestmark = pytest.mark.slow

RAY = ("--engine", "ray")


def test_ray_with_one_and_two_workers_writes_the_bytes_of_one_process(
    batch: Batch, completed_template: Project, inputs: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    units = ("--unit-rows", "120")
    assert batch(inputs, "--output", tmp_path / "local", *units).status == 0
    expected = outputs(tmp_path / "local")
    (inputs / "empty.csv").touch()
    environment = tmp_path / "a folder" / "venv"  # an interpreter in a folder with a blank starts workers, too
    environment.parent.mkdir()
    environment.symlink_to(sys.prefix)
    for workers, python in ((1, environment / "bin" / "python"), (2, sys.executable)):
        folder = tmp_path / f"ray-{workers}"
        command = (str(python), "-m", "sentiment", "batch", str(inputs), "--output", str(folder))
        done = completed_template.run(*command, *units, *RAY, "--workers", str(workers), check=False)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("error: 1 unit failed")
        assert outputs(folder) == expected
        assert "is empty" in (folder / "_errors.jsonl").read_text()


def test_without_ray_or_a_cluster_it_is_one_line_at_once(batch: Batch, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError('No module named ray', name='ray')\n")
    missing = batch(inputs, "--output", tmp_path / "labels", *RAY, PYTHONPATH=str(tmp_path))
    assert (missing.status, missing.stderr.count("\n")) == (1, 1)
    assert "pip install 'frozen-albert-sentiment[ray]'" in missing.stderr
    pytest.importorskip("ray")
    begun = time.monotonic()
    alone = batch(inputs, "--output", tmp_path / "labels", *RAY, "--address", "ray://127.0.0.1:9")
    assert alone.status == 1
    assert time.monotonic() - begun < 30, "Ray alone waits for so long"
    assert "no Ray cluster at ray://127.0.0.1:9" in alone.stderr.splitlines()[-1]
