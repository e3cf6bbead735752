"""`sentiment batch --engine ray`: the bytes of local processes, and workers that die are replaced."""

import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.batch.conftest import TIMEOUT, Batch, outputs, started, write_csv
from tests.project import Project
from tests.s3_server import wait_for

pytestmark = pytest.mark.slow

RAY = ("--engine", "ray")


def actors_of(process: Any) -> list[psutil.Process]:
    """Return the Ray workers below a driver."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "ray::UnitWorker" in "".join(child.cmdline())]


def test_the_bytes_are_those_of_local_processes(batch: Batch, inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    units = ("--unit-rows", "120")
    assert batch(inputs, "--output", tmp_path / "local", *units).status == 0
    (inputs / "empty.csv").touch()
    outcome = batch(inputs, "--output", tmp_path / "ray", *units, *RAY)
    assert outcome.status == 1
    assert [line.partition(": ")[0] for line in outcome.stderr.splitlines()] == ["batch", "batch", "error"]
    assert outputs(tmp_path / "ray") == outputs(tmp_path / "local")
    assert "is empty" in (tmp_path / "ray" / "_errors.jsonl").read_text()


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


def test_a_ray_worker_and_a_driver_that_are_killed(completed_template: Project, batch: Batch, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    write_csv(tmp_path / "in" / "part.csv", 0, 3_000)
    units = ("--unit-rows", "500", "--workers", "1")
    assert batch(tmp_path / "in", "--output", tmp_path / "local", *units).status == 0
    folder = tmp_path / "labels"
    with started(completed_template, tmp_path / "in", "--output", folder, *units, *RAY) as process:
        wait_for(lambda: outputs(folder), TIMEOUT)
        [actor] = actors_of(process)
        actor.kill()
        n_done = len(outputs(folder))
        wait_for(lambda: len(outputs(folder)) > n_done, TIMEOUT)
        replacements = actors_of(process)
        process.kill()
        _, stderr = process.communicate(timeout=TIMEOUT)
    assert "its worker is gone" in stderr
    assert replacements
    assert psutil.wait_procs(replacements, timeout=60)[1] == [], "they outlive their driver"
    n_done = len(outputs(folder))
    assert n_done < 6
    again = batch(tmp_path / "in", "--output", folder, *units, *RAY)
    assert f"batch: {6 - n_done} units labeled, {n_done} there before" in again.stderr
    assert outputs(folder) == outputs(tmp_path / "local")


def test_without_ray_or_without_a_cluster_it_is_one_line(batch: Batch, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError('No module named ray', name='ray')\n")
    missing = batch(inputs, "--output", tmp_path / "labels", *RAY, PYTHONPATH=str(tmp_path))
    assert (missing.status, missing.stderr.count("\n")) == (1, 1)
    assert "pip install 'frozen-albert-sentiment[ray]'" in missing.stderr
    pytest.importorskip("ray")
    alone = batch(inputs, "--output", tmp_path / "labels", *RAY, "--address", "ray://127.0.0.1:9")
    assert alone.status == 1
    assert "no Ray cluster at ray://127.0.0.1:9" in alone.stderr.splitlines()[-1]
