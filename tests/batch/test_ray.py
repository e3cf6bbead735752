"""`sentiment batch --engine ray` writes the bytes of one process; test_faults.py kills its workers."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.batch.conftest import Batch, outputs
from tests.project import Project

pytestmark = pytest.mark.slow

RAY = ("--engine", "ray")
# a head without CPUs; a machine with two joins when work has waited for it longer than an item may stall
LATE_MACHINE = """
import json, logging, os, pathlib, time
from ray.cluster_utils import Cluster
from sentiment import ray_tasks

class Join(logging.Handler):
    n_waits = 0

    def emit(self, record):
        self.n_waits += "waiting for a machine" in record.getMessage()
        if self.n_waits == 4:
            machines.add_node(num_cpus=2)

def load(folder):
    def label(item, on_rows):
        pathlib.Path(f"{os.getpid()}.worker").touch()
        end = time.monotonic() + 20
        while len(list(pathlib.Path().glob("*.worker"))) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        return os.getpid()
    return label

ray_tasks.STALL_SECONDS, ray_tasks.WAIT_SECONDS = 2, 1.0
ray_tasks.log.addHandler(Join())
ray_tasks.log.setLevel("INFO")
machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
with ray_tasks.cluster(machines.address):
    work = ray_tasks.Work(load, pathlib.Path("model"))
    print(json.dumps(list(ray_tasks.run_tasks(work, iter(range(2))))))
machines.shutdown()
"""
# one item kills its workers, the next one is done; then each item kills them
LOST = """
import os, pathlib, uuid
from sentiment import ray_tasks

def load(folder):
    def label(item, on_rows):
        if item.startswith("bad"):
            pathlib.Path(f"{item}.{uuid.uuid4()}").touch()
            os._exit(1)
        return "done"
    return label

work = ray_tasks.Work(load, pathlib.Path("model"))
with ray_tasks.cluster("local"), open("found.txt", "w") as found:  # Ray itself prints lines
    for item, result in ray_tasks.run_tasks(work, iter(["bad", "bad_too", "good", "bad_again"]), max_tasks=1):
        print(item, result, sep=": ", file=found)
    try:
        list(ray_tasks.run_tasks(work, iter(f"bad{n}" for n in range(9)), max_tasks=1))
    except ray_tasks.WorkerError as error:
        print(error, file=found)
"""
# in the place of a worker process: two items with signs of life, a pause, and an item that stalls
WORKER = """
import time
from sentiment import ray_tasks

ray_tasks.STALL_SECONDS = 4

def work(item, on_rows):
    for seconds in item:
        time.sleep(seconds)
        on_rows(1)

ray_tasks._loaded["job"] = work
for item in ([2.2, 2.2], [2.2, 2.2]):
    ray_tasks._do(["job"], item)
time.sleep(6)
print("done", flush=True)
ray_tasks._do(["job"], [120])
"""


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
    large = batch(inputs, "--output", tmp_path / "labels", *RAY, "--threads", "4096")
    assert large.status == 1
    assert "error: this machine has not 4096 CPU: fewer --threads" in large.stderr.splitlines()[-1]


def test_a_machine_that_joins_a_cluster_without_cpus_takes_the_work_that_has_waited(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "model").mkdir()
    script, environment = tmp_path / "late_machine.py", tmp_path / "environment"
    script.write_text(LATE_MACHINE)
    environment.symlink_to(sys.prefix)  # Ray gives its Python to a shell, unquoted
    python = environment / "bin/python"
    done = subprocess.run([python, script], cwd=tmp_path, capture_output=True, text=True, timeout=480)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert sorted(item for item, _ in found) == [0, 1]
    assert len({worker for _, worker in found}) == 2, found


def test_an_item_is_tried_three_times_and_three_lost_in_a_row_end_a_run(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "model").mkdir()
    script = tmp_path / "lost.py"
    script.write_text(LOST)
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    *first, last = (tmp_path / "found.txt").read_text().splitlines()
    starts = "bad: its worker died, 3 times", "bad_too: its worker died, 3 times", "good: done", "bad_again: its worker"
    assert len(first) == len(starts), first
    assert all(line.startswith(start) for line, start in zip(first, starts, strict=True)), first
    assert last.startswith("3 units failed one after the other; of the last its worker died, 3 times"), last
    for item, n_tries in (("bad", 3), ("bad0", 3), ("bad2", 3), ("bad3", 0)):
        assert len(list(tmp_path.glob(f"{item}.*"))) == n_tries, item


def test_a_worker_ends_where_an_item_stalls_and_neither_idle_nor_by_the_item_before() -> None:
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, timeout=150)
    assert (done.returncode, done.stdout) == (1, "done\n"), done.stderr
    assert "Timeout (0:00:04)!" in done.stderr
    assert time.monotonic() - begun < 100, "the item that stalls takes 120 seconds"
