"""Grids, jobs side by side, and what list, logs and stop say."""

import json
import re
import subprocess
import time

import pytest

from tests.project import Project
from tests.remote.conftest import RemoteProject
from tests.s3_server import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.s3]


def metrics_of(project: Project, name: str) -> dict[str, object]:
    """Return the metrics of an experiment as its commit has them."""
    shown = project.run("git", "show", f"{project.experiment(name)}:metrics/evaluate.json").stdout
    return dict(json.loads(shown))


def test_a_grid_of_four_comes_back_and_computes_features_once(remote_project: RemoteProject) -> None:
    values = ["-S", "train.threshold=0.4,0.97", "-S", "train.seed=1,2"]
    done = remote_project.remote("run", "-n", "grid", "--", *values)
    assert "brought grid-1, grid-2, grid-3, grid-4" in done.stderr
    assert "Running stage 'encode'" not in done.stdout
    assert metrics_of(remote_project.project, "grid-1") != metrics_of(remote_project.project, "grid-3")
    job_id = re.findall(r"job (\S+):", done.stderr)[0]
    listed = remote_project.remote("list").stdout
    assert re.search(rf"{job_id} +finished +local +[0-9a-f]{{7}} +grid-1, grid-2, grid-3, grid-4", listed)
    assert remote_project.remote("logs", job_id).stdout == done.stdout
    again = remote_project.remote("run", "-n", "grid", "--", *values, check=False)
    assert (again.returncode, again.stdout) == (1, "")
    assert "experiment 'grid-1' is here already" in again.stderr


def test_a_job_that_is_stopped_pushes_what_is_complete_and_nothing_runs_on(remote_project: RemoteProject) -> None:
    job_id = remote_project.remote("run", "--detach", "--", "-S", "train.epochs=3000").stdout.strip()
    log = ""

    def is_training() -> bool:
        nonlocal log
        log = remote_project.remote("logs", job_id).stdout
        return "Running stage 'train'" in log

    wait_for(is_training, 120)
    begun = time.monotonic()
    stopped = remote_project.remote("stop", job_id)
    assert "stopped by `sentiment remote stop`; complete stages are pushed" in stopped.stderr
    assert time.monotonic() - begun < 60
    listed = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
    assert job_id not in listed
    fetched = remote_project.remote("fetch", job_id, check=False)
    assert (fetched.returncode, "stopped" in fetched.stderr) == (1, True)
