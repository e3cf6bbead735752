"""Sweeps: only what a parameter touches runs, and a run gives the same hashes wherever it happens."""

import json
import shutil
import subprocess
import time
from contextlib import suppress

import psutil
import yaml

from tests.conftest import Project

TRIED = "train.learning_rate=0.01"


def run_hashes(project: Project, name: str) -> dict[str, str]:
    """Return the hash of every output of an experiment."""
    lock = yaml.safe_load(project.run("git", "show", f"{project.experiment(name)}:dvc.lock").stdout)
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}


def forget_runs(project: Project) -> None:
    """Empty the run cache, so that the same run happens again and is not looked up."""
    shutil.rmtree(project.root / ".dvc" / "cache" / "runs", ignore_errors=True)  # a temporary run leaves none


def start_queue(project: Project) -> None:
    """Start two workers; they inherit the output, so with a pipe one would wait for them too."""
    command = ["dvc", "queue", "start", "-j", "2"]
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, cwd=project.root, env=project.environment(), check=True, timeout=120, **nowhere)


def end_workers(project: Project) -> None:
    """End the workers that are still there: now and then one says that it shuts down, and stays (DVC 3.67.1)."""
    for state in (project.root / ".dvc" / "tmp" / "exps" / "celery").glob("dvc-exp-worker-*.json"):
        with suppress(psutil.NoSuchProcess):  # most have gone, or go while this looks
            worker = psutil.Process(json.loads(state.read_text())["pid"])
            if "queue-worker" in worker.cmdline():
                worker.kill()


def finish_queue(project: Project) -> None:
    """Wait until the queue is done and no worker answers any more."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        said = project.run("dvc", "queue", "status").stdout
        if "Queued" not in said and "Running" not in said and "0 active, 0 idle" in said:
            return
        time.sleep(1)
    raise AssertionError(f"the queue did not end:\n{said}")


def test_queued_and_temporary_runs_give_the_hashes_of_a_run_in_the_workspace(completed_project):
    (completed_project.root / "notes.txt").write_text("untracked\n")
    (completed_project.root / "report.html").write_text("ignored\n")

    said = completed_project.run("dvc", "exp", "run", "-n", "here", "-S", TRIED).stdout
    assert [line for line in said.splitlines() if line.startswith("Running stage")] == [
        "Running stage 'train':",
        "Running stage 'evaluate':",
    ]
    here = run_hashes(completed_project, "here")
    baseline = yaml.safe_load(completed_project.run("git", "show", "HEAD:dvc.lock").stdout)["stages"]
    assert here["data/encode"] == baseline["encode"]["outs"][0]["md5"]
    assert here["models/classifier"] != baseline["train"]["outs"][0]["md5"]

    completed_project.run("git", "checkout", "-q", "--", ".")
    completed_project.run("dvc", "checkout", "-q")
    forget_runs(completed_project)
    completed_project.run("dvc", "exp", "run", "--temp", "-n", "apart", "-S", TRIED)
    assert run_hashes(completed_project, "apart") == here

    forget_runs(completed_project)
    completed_project.run("dvc", "exp", "run", "--queue", "-n", "grid", "-S", TRIED + ",0.02")
    start_queue(completed_project)
    try:
        finish_queue(completed_project)
    finally:
        end_workers(completed_project)
    assert run_hashes(completed_project, "grid-1") == here
    assert run_hashes(completed_project, "grid-2")["models/classifier"] != here["models/classifier"]


def test_an_untracked_source_is_named_or_brought_along(completed_project):
    rows = (completed_project.root / "data" / "raw" / "sample.csv").read_bytes()
    (completed_project.root / "data" / "raw" / "mine.csv").write_bytes(rows)
    command = ["dvc", "exp", "run", "--temp", "-n", "mine", "-S", "prepare.source=data/raw/mine.csv"]
    alone = completed_project.run(*command, check=False)
    assert alone.returncode != 0
    assert "data/raw/mine.csv" in alone.stderr.splitlines()[0]
    completed_project.run(*command, "-C", "data/raw/mine.csv")
    lock = yaml.safe_load((completed_project.root / "dvc.lock").read_text())["stages"]
    assert (
        run_hashes(completed_project, "mine")["data/evaluate/predictions.parquet"] == lock["evaluate"]["outs"][0]["md5"]
    )
