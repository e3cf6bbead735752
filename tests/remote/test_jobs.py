"""A grid of which one experiment fails, a job that is stopped, and what list, logs and fetch say of them."""

import json
import re
import subprocess
import time

import pytest

from tests.project import Project
from tests.remote.conftest import TRAIN_FOR_MINUTES, RemoteProject
from tests.s3_server import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.s3]


def metrics_of(project: Project, name: str) -> dict[str, object]:
    """Return the metrics of an experiment as its commit has them."""
    shown = project.run("git", "show", f"{project.experiment(name)}:metrics/val.json").stdout
    return dict(json.loads(shown))


def test_a_grid_comes_back_without_the_experiment_that_fails_and_its_error_is_named(
    remote_project: RemoteProject,
) -> None:
    values = ["-S", "train.threshold=0.4,0.97,-1"]
    done = remote_project.remote("run", "-n", "grid", "--", *values, check=False)
    assert done.returncode == 1
    assert "brought grid-1, grid-2 (" in done.stderr
    assert "Running stage 'encode'" not in done.stdout
    assert metrics_of(remote_project.project, "grid-1") != metrics_of(remote_project.project, "grid-2")
    last = done.stderr.strip().splitlines()[-1]
    failure = re.fullmatch(r"error: job (\S+) failed: experiment 3: (params\.yaml: train\.threshold is -1.+)", last)
    assert failure, done.stderr
    job_id, message = failure.groups()
    assert message in done.stdout
    listed = remote_project.remote("list").stdout
    assert re.search(rf"{job_id} +failed +local +[0-9a-f]{{7}} +grid-1, grid-2\n", listed)
    assert remote_project.remote("logs", job_id).stdout == done.stdout
    assert remote_project.project.run("git", "status", "--porcelain").stdout == ""
    again = remote_project.remote("run", "-n", "grid", "--", *values, check=False)
    assert (again.returncode, again.stdout) == (1, "")
    assert "experiment 'grid-1' is here already" in again.stderr


def test_a_job_that_is_stopped_pushes_what_is_complete_and_nothing_runs_on(remote_project: RemoteProject) -> None:
    job_id = remote_project.remote("run", "--detach", "--", *TRAIN_FOR_MINUTES).stdout.strip()

    def is_training() -> bool:
        has_log = "log.txt" in remote_project.objects(job_id)
        return has_log and b"Running stage 'train'" in remote_project.read(job_id, "log.txt")

    def is_gone() -> bool:
        listed = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
        return job_id not in listed

    wait_for(is_training, 120)
    assert not is_gone()
    begun = time.monotonic()
    stopped = remote_project.remote("stop", job_id)
    assert "stopped by `sentiment remote stop`; complete stages are pushed" in stopped.stderr
    assert time.monotonic() - begun < 60
    wait_for(is_gone, 10)  # the last status is written a moment before the runner ends
    fetched = remote_project.remote("fetch", job_id, check=False)
    assert (fetched.returncode, "stopped" in fetched.stderr) == (1, True)
