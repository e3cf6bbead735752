"""A project whose inputs and outputs are in a storage remote of its own, and the `sentiment remote` command in it."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.s3_server import S3Server

HEARTBEAT_S = "1"


@dataclass(frozen=True)
class RemoteProject:
    """A project with its part of an S3 server."""

    project: Project
    server: S3Server
    prefix: str

    def remote(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `sentiment remote`; a `run` uses this environment and a quick heartbeat."""
        if arguments[0] == "run":
            arguments = ("run", "--python", sys.executable, "--heartbeat", HEARTBEAT_S, *arguments[1:])
        return self.project.run("sentiment", "remote", *arguments, check=check)

    def objects(self, job_id: str) -> set[str]:
        """Return the names of the objects of a job."""
        start = f"{self.prefix}/jobs/{job_id}/"
        return {key.removeprefix(start) for key in self.server.object_keys(f"{self.prefix}/jobs/{job_id}")}


@pytest.fixture
def remote_project(completed_project: Project, s3_server: S3Server, tmp_path: Path) -> RemoteProject:
    """A project whose pipeline has run and is pushed."""
    prefix = f"remote-{tmp_path.name}"
    s3_server.connect(completed_project, prefix)
    completed_project.run("dvc", "push", "-q")
    return RemoteProject(completed_project, s3_server, prefix)
