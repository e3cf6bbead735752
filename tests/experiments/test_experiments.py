"""Experiments: only what a parameter changes runs, and a run gives the same hashes in workspace, temp and queue."""

import json
import shutil
import subprocess
import time
from contextlib import suppress

import psutil
import pytest
import yaml

from tests.project import Project

OVERRIDE = "train.learning_rate=0.01"


def run_hashes(project: Project, name: str) -> dict[str, str]:
    """Return the hash of every output of an experiment."""
    lock = yaml.safe_load(project.run("git", "show", f"{project.experiment(name)}:dvc.lock").stdout)
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}


def clear_run_cache(project: Project) -> None:
    """Empty the run cache, so that the same run computes again."""
    shutil.rmtree(project.root / ".dvc" / "cache" / "runs", ignore_errors=True)  # a temporary run leaves none


def start_queue(project: Project) -> None:
    """Start two workers; they inherit the output, so with a pipe one would wait for them too."""
    command = ["dvc", "queue", "start", "-j", "2"]
    null = subprocess.DEVNULL
    subprocess.run(
        command, cwd=project.root, env=project.environment(), check=True, timeout=120, stdout=null, stderr=null
    )


def end_workers(project: Project) -> None:
    """Kill workers that are still running: some log that they shut down, and do not (DVC 3.67.1)."""
    for state in (project.root / ".dvc" / "tmp" / "exps" / "celery").glob("dvc-exp-worker-*.json"):
        with suppress(psutil.NoSuchProcess):  # most have gone, or go while this looks
            worker = psutil.Process(json.loads(state.read_text())["pid"])
            if "queue-worker" in worker.cmdline():
                worker.kill()


def finish_queue(project: Project) -> None:
    """Wait until the queue is done and no worker is active."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        status = project.run("dvc", "queue", "status").stdout
        if "Queued" not in status and "Running" not in status and "0 active, 0 idle" in status:
            return
        time.sleep(1)
    raise AssertionError(f"the queue did not finish:\n{status}")


@pytest.mark.slow
def test_queued_and_temporary_runs_give_the_hashes_of_a_run_in_the_workspace(completed_project: Project) -> None:
    (completed_project.root / "notes.txt").write_text("untracked\n")
    (completed_project.root / "report.html").write_text("ignored\n")

    status = completed_project.run("dvc", "exp", "run", "-n", "in-workspace", "-S", OVERRIDE).stdout
    assert [line for line in status.splitlines() if line.startswith("Running stage")] == [
        "Running stage 'train':",
        "Running stage 'check':",
        "Running stage 'evaluate':",
    ]
    expected = run_hashes(completed_project, "in-workspace")
    baseline = yaml.safe_load(completed_project.run("git", "show", "HEAD:dvc.lock").stdout)["stages"]
    assert expected["data/encode"] == baseline["encode"]["outs"][0]["md5"]
    assert expected["models/classifier"] != baseline["train"]["outs"][0]["md5"]

    completed_project.run("git", "checkout", "-q", "--", ".")
    completed_project.run("dvc", "checkout", "-q")
    clear_run_cache(completed_project)
    completed_project.run("dvc", "exp", "run", "--temp", "-n", "in-temp", "-S", OVERRIDE)
    assert run_hashes(completed_project, "in-temp") == expected

    clear_run_cache(completed_project)
    completed_project.run("dvc", "exp", "run", "--queue", "-n", "grid", "-S", OVERRIDE + ",0.02")
    start_queue(completed_project)
    try:
        finish_queue(completed_project)
    finally:
        end_workers(completed_project)
    assert run_hashes(completed_project, "grid-1") == expected
    assert run_hashes(completed_project, "grid-2")["models/classifier"] != expected["models/classifier"]


@pytest.mark.slow
def test_an_untracked_source_fails_by_name_and_runs_when_copied(completed_project: Project) -> None:
    rows = (completed_project.root / "data" / "raw" / "sample.csv").read_bytes()
    (completed_project.root / "data" / "raw" / "mine.csv").write_bytes(rows)
    command = ["dvc", "exp", "run", "--temp", "-n", "mine", "-S", "prepare.source=data/raw/mine.csv"]
    alone = completed_project.run(*command, check=False)
    assert alone.returncode != 0
    assert "data/raw/mine.csv" in alone.stderr.splitlines()[0]
    completed_project.run(*command, "-C", "data/raw/mine.csv")
    lock = yaml.safe_load((completed_project.root / "dvc.lock").read_text())["stages"]
    expected = {out["path"]: out["md5"] for out in lock["evaluate"]["outs"]}
    predictions = "data/evaluate"
    assert run_hashes(completed_project, "mine")[predictions] == expected[predictions]
