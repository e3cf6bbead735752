"""`sentiment batch --engine ray` writes the bytes of one process; test_faults.py kills its workers."""

import sys
from pathlib import Path

import pytest

from tests.batch.conftest import Batch, outputs
from tests.project import Project

pytestmark = pytest.mark.slow

RAY = ("--engine", "ray")


def test_one_process_two_shards_and_ray_with_one_and_two_workers_give_the_same_bytes(
    batch: Batch, inputs: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    units = ("--unit-rows", "120")
    assert batch(inputs, "--output", tmp_path / "local", *units).status == 0
    expected = outputs(tmp_path / "local")
    for shard in ("0/2", "1/2"):
        assert batch(inputs, "--output", tmp_path / "shards", *units, "--shard", shard).status == 0
    assert outputs(tmp_path / "shards") == expected
    (inputs / "empty.csv").touch()
    for workers in ("1", "2"):
        folder = tmp_path / f"ray-{workers}"
        outcome = batch(inputs, "--output", folder, *units, *RAY, "--workers", workers)
        assert outcome.status == 1
        assert outcome.stderr.splitlines()[-1].startswith("error: 1 unit failed")
        assert outputs(folder) == expected
        assert "is empty" in (folder / "_errors.jsonl").read_text()


def test_an_interpreter_in_a_folder_with_a_blank_starts_workers(
    completed_template: Project, inputs: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    environment = tmp_path / "a folder" / "venv"
    environment.parent.mkdir()
    environment.symlink_to(sys.prefix)
    batch = (str(environment / "bin" / "python"), "-m", "sentiment", "batch", str(inputs))
    ran = completed_template.run(*batch, "--output", str(tmp_path / "labels"), *RAY)
    assert "0 broken" in ran.stderr


def test_without_ray_or_without_a_cluster_it_is_one_line(batch: Batch, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError('No module named ray', name='ray')\n")
    missing = batch(inputs, "--output", tmp_path / "labels", *RAY, PYTHONPATH=str(tmp_path))
    assert (missing.status, missing.stderr.count("\n")) == (1, 1)
    assert "pip install 'frozen-albert-sentiment[ray]'" in missing.stderr
    pytest.importorskip("ray")
    alone = batch(inputs, "--output", tmp_path / "labels", *RAY, "--address", "ray://127.0.0.1:9")
    assert alone.status == 1
    assert "no Ray cluster at ray://127.0.0.1:9" in alone.stderr.splitlines()[-1]
