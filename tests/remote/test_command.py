"""`--on command` prints a command, and the experiment comes back from wherever a shell runs it."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.remote.conftest import EVALUATE_AGAIN, RemoteProject
from tests.s3_server import BUCKET

pytestmark = [pytest.mark.slow, pytest.mark.s3]


def test_the_printed_command_runs_the_job_in_any_folder(remote_project: RemoteProject, tmp_path: Path) -> None:
    sent = remote_project.remote("run", "--on", "command", "-n", "elsewhere", "--", *EVALUATE_AGAIN)
    job_id = sent.stderr.split()[1].rstrip(":")
    half_sent = "20200101-000000-abcdef"
    key = f"{remote_project.prefix}/jobs/{half_sent}/input/repo.bundle"
    remote_project.server.client().put_object(Bucket=BUCKET, Key=key, Body=b"")
    listed = remote_project.remote("list").stdout
    assert re.search(rf"{half_sent} +not sent\b", listed)
    assert re.search(rf"{job_id} +waiting\b", listed)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**remote_project.project.environment(), **remote_project.server.environment()}
    environment.pop("AWS_ENDPOINT_URL_S3")
    command = f"{sent.stdout.strip()} --python {shlex.quote(sys.executable)}"
    done = subprocess.run(["sh", "-c", command], cwd=elsewhere, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Running stage 'evaluate'" in remote_project.remote("logs", "--follow", job_id).stdout
    project = remote_project.project
    assert "finished; brought elsewhere" in remote_project.remote("fetch", "--no-data", job_id).stderr
    refs = project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    lock = project.run("git", "show", f"{next(ref for ref in refs if ref.endswith('/elsewhere'))}:dvc.lock").stdout
    made = {out["path"]: out["md5"] for out in yaml.safe_load(lock)["stages"]["evaluate"]["outs"]}["data/evaluate"]
    cached = project.root / ".dvc/cache/files/md5" / made[:2] / made[2:]
    assert not cached.exists()
    assert "finished; brought elsewhere" in remote_project.remote("fetch", job_id).stderr
    assert cached.exists()
