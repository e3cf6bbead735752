"""A project whose inputs and outputs are in a storage remote of its own, and the `sentiment remote` command in it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sentiment.remote.runner import BUNDLE, JOB, Store
from tests.project import Project
from tests.s3_server import BUCKET, S3Server, start_command

HEARTBEAT_S = "1"
# of `dvc exp run`: one stage runs, for a test that is about what is around it
EVALUATE_AGAIN = ("-S", "evaluate.seed=1")
TRAIN_FOR_MINUTES = ("-S", "train.epochs=30000")


@dataclass(frozen=True)
class RemoteProject:
    """A project with its part of an S3 server."""

    project: Project
    server: S3Server
    prefix: str

    def remote(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `sentiment remote` to its end."""
        return self.project.run(*command(arguments), check=check)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `sentiment remote`; both streams come as one."""
        return start_command(self.project, *command(arguments))

    def objects(self, job_id: str) -> set[str]:
        """Return the names of the objects of a job."""
        start = f"{self.prefix}/jobs/{job_id}/"
        return {key.removeprefix(start) for key in self.server.object_keys(f"{self.prefix}/jobs/{job_id}")}

    def read(self, job_id: str, name: str) -> bytes:
        """Return an object of a job."""
        key = f"{self.prefix}/jobs/{job_id}/{name}"
        return bytes(self.server.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line; a `run` uses this environment and a quick heartbeat."""
    own = ["--python", sys.executable, "--heartbeat", HEARTBEAT_S] if arguments[0] == "run" else []
    return ["sentiment", "remote", arguments[0], *own, *arguments[1:]]


@pytest.fixture
def remote_project(completed_project: Project, s3_server: S3Server, tmp_path: Path) -> RemoteProject:
    """A project whose pipeline has run; what it made is nowhere else."""
    prefix = f"remote-{tmp_path.name}"
    s3_server.connect(completed_project, prefix)
    return RemoteProject(completed_project, s3_server, prefix)


def send_job(store: Store, source: Path, runs: Sequence[Sequence[str]]) -> None:
    """Send a job of the files in a folder, which become a repository with a project of DVC."""
    (source / ".dvc").mkdir(parents=True)
    (source / ".dvc" / "config").touch()

    def git(*arguments: str) -> str:
        person = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = subprocess.run(["git", *person, *arguments], cwd=source, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    git("add", "-f", ".")
    git("commit", "-q", "-m", "start")
    git("bundle", "create", "-q", "repo.bundle", "HEAD")
    job = {
        "on": ["sagemaker"], "commit": git("rev-parse", "HEAD"), "author": {"name": "a", "email": "a@b.c"},
        "runs": runs, "heartbeat_s": 60, "dvc_config": "",
    }  # fmt: skip
    store.put(BUNDLE, (source / "repo.bundle").read_bytes())
    store.put(JOB, json.dumps(job).encode())
