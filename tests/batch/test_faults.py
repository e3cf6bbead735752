"""Processes that die, a disk that is full, two runs at once: nothing lost, nothing twice, nothing half-written."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.batch.conftest import TIMEOUT, Batch, command, manifest, outputs, started, workers_of, write_csv
from tests.project import Project
from tests.s3_server import wait_for

pytestmark = pytest.mark.slow

N_UNITS, ROWS = 8, 600
NAMES = [f"part.csv.{index:05d}.parquet" for index in range(N_UNITS)]
OPTIONS = ("--unit-rows", ROWS)
ON_RAY = (*OPTIONS, "--engine", "ray", "--workers", 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    write_csv(folder / "in" / "part.csv", 0, N_UNITS * ROWS)
    return folder / "in"


@pytest.fixture(scope="module")
def expected(source: Path, completed_template: Project) -> dict[str, bytes]:
    """The outputs of a run that nothing disturbed."""
    folder = source.parent / "expected"
    completed_template.run("sentiment", "batch", str(source), "--output", str(folder), *map(str, OPTIONS))
    assert sorted(outputs(folder)) == NAMES
    return outputs(folder)


@contextmanager
def batch_with_two_outputs(
    project: Project, source: Path, folder: Path, *options: object
) -> Iterator["subprocess.Popen[str]"]:
    """A running `sentiment batch` that has written two of its outputs."""
    with started(project, source, "--output", folder, *options) as process:
        wait_for(lambda: len(outputs(folder)) >= 2, TIMEOUT)
        yield process


def test_a_ray_worker_that_is_killed_is_replaced_and_its_unit_labeled(
    completed_template: Project, source: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    folder = tmp_path / "labels"
    with batch_with_two_outputs(completed_template, source, folder, *ON_RAY) as process:
        wait_for(lambda: workers_of(process), TIMEOUT)
        for worker in workers_of(process):
            worker.kill()
        _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, stderr
    # 1 where it was killed when its output was written already
    assert re.search(f"batch: ({N_UNITS} units labeled, 0|{N_UNITS - 1} units labeled, 1) there before", stderr), stderr
    assert outputs(folder) == expected


@pytest.mark.parametrize("options", [OPTIONS, ON_RAY], ids=["here", "ray"])
def test_a_driver_that_is_killed_leaves_no_worker_and_the_same_command_goes_on(
    completed_template: Project,
    source: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
    batch: Batch,
    options: tuple[object, ...],
) -> None:
    if options is ON_RAY:
        pytest.importorskip("ray")
    folder = tmp_path / "labels"
    with batch_with_two_outputs(completed_template, source, folder, *options) as process:
        workers = workers_of(process)
        process.kill()
        process.wait(10)
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    done = outputs(folder)
    assert done.items() <= expected.items()
    assert 2 <= len(done) < N_UNITS
    again = batch(source, "--output", folder, *OPTIONS)
    assert f"batch: {N_UNITS - len(done)} units labeled, {len(done)} there before" in again.stderr
    assert outputs(folder) == expected
    assert manifest(folder)["counts"]["rows"] == N_UNITS * ROWS


def test_two_runs_at_once_share_the_units(
    completed_template: Project, source: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "labels"
    with (
        started(completed_template, source, "--output", folder, *OPTIONS) as one,
        started(completed_template, source, "--output", folder, *OPTIONS) as other,
    ):
        logs = [process.communicate(timeout=TIMEOUT)[1] for process in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), logs
    assert outputs(folder) == expected
    labeled = [int(log.partition("batch: ")[2].split()[0]) for log in logs]
    assert sum(labeled) < 2 * N_UNITS, "each did everything"
    assert manifest(folder)["counts"]["rows"] == N_UNITS * ROWS


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_space(
    completed_template: Project, source: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """On a file system of its own, which has room for two units and gets more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    run = shlex.join(map(str, command(source, "--output", disk / "labels", *OPTIONS)))
    size = sum(map(len, expected.values())) // N_UNITS * 3 // 1024
    script = f"""
        mount -t tmpfs -o size={size}k none {disk} || exit 77
        {run}; echo "first: $?" >&2
        find {disk} -name '*.parquet' | wc -l
        mount -o remount,size=64m {disk}
        {run}; echo "second: $?" >&2
        cp -r {disk}/labels {tmp_path}/copy
    """
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", script],
        cwd=completed_template.root,
        env=completed_template.environment(),
        capture_output=True,
        text=True,
        timeout=2 * TIMEOUT,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"this system lets nobody mount a file system: {done.stderr}")
    before = done.stderr.partition("first: 1")[0].strip().splitlines()
    assert "No space left on device" in before[-1]
    assert sum(line.startswith("error: ") for line in before) == 1
    assert "Traceback" not in done.stderr
    assert 0 < int(done.stdout) < N_UNITS
    assert "second: 0" in done.stderr
    assert outputs(tmp_path / "copy") == expected


def test_another_classifier_labels_everything_anew(completed_template: Project, tmp_path: Path, batch: Batch) -> None:
    source, folder, changed = tmp_path / "in", tmp_path / "labels", tmp_path / "classifier"
    write_csv(source / "part.csv", 0, 90)
    options = (source, "--output", folder, "--unit-rows", 30)
    assert batch(*options).status == 0
    expected = outputs(folder)
    shutil.copytree(completed_template.root / "models" / "classifier", changed)
    config = json.loads((changed / "config.json").read_text())
    (changed / "config.json").write_text(json.dumps(config | {"threshold": 0.99}))
    again = batch(*options, "--classifier", changed)
    assert "batch: 3 units labeled, 0 there before" in again.stderr
    assert outputs(folder).keys() == expected.keys()
    assert all(
        pq.read_table(path)["sentiment"].unique().to_pylist() == ["negative"] for path in folder.glob("*.parquet")
    )
    assert batch(*options).status == 0
    assert outputs(folder) == expected
    for option in (("--threshold", 0.99), ("--keep-columns",), ("--text-column", "Review Text")):
        assert "batch: 3 units labeled, 0 there before" in batch(*options, *option).stderr, option
