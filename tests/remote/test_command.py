"""`--on command` prints a command, and the experiment comes back from wherever a shell runs it."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.remote.conftest import RemoteProject

pytestmark = [pytest.mark.slow, pytest.mark.s3]


def test_the_printed_command_runs_the_job_in_any_folder(remote_project: RemoteProject, tmp_path: Path) -> None:
    sent = remote_project.remote("run", "--on", "command", "-n", "elsewhere", "--", "-S", "train.seed=5")
    job_id = sent.stderr.split()[1].rstrip(":")
    assert "waiting" in remote_project.remote("list").stdout
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**remote_project.project.environment(), **remote_project.server.environment()}
    environment.pop("AWS_ENDPOINT_URL_S3")
    command = f"{sent.stdout.strip()} --python {shlex.quote(sys.executable)}"
    done = subprocess.run(["sh", "-c", command], cwd=elsewhere, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "finished; brought elsewhere" in remote_project.remote("fetch", job_id).stderr
