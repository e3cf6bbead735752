"""An experiment sent away comes back: `sentiment remote run --on local` against a real S3 server."""

import json
import re

import pytest
import yaml

from tests.project import Project
from tests.remote.conftest import RemoteProject

pytestmark = [pytest.mark.slow, pytest.mark.s3]

MAX_SUBMIT_S = 10
OVERRIDE = "train.learning_rate=0.01"


def contents(project: Project, name: str) -> dict[str, str]:
    """Return dvc.lock, params and metrics of an experiment by path."""
    ref = project.experiment(name)
    listed = project.run("git", "ls-tree", "-r", "--name-only", ref, "dvc.lock", "params.yaml", "metrics/").stdout
    return {path: project.run("git", "show", f"{ref}:{path}").stdout for path in listed.split()}


def assert_no_secret(remote_project: RemoteProject, job_id: str) -> None:
    """Fail if an object of a job holds the key that the project has for the storage."""
    names = remote_project.objects(job_id)
    assert {"input/job.json", "input/repo.bundle", "input/runner.py", "status.json", "experiments.bundle"} < names
    for name in names:
        key = remote_project.server.credentials.developer
        assert key.secret_access_key.encode() not in remote_project.read(job_id, name), name


def test_a_remote_experiment_equals_the_same_run_here(remote_project: RemoteProject) -> None:
    project = remote_project.project
    done = remote_project.remote("run", "-n", "there", "--", "-S", OVERRIDE)
    assert "Running stage 'train'" in done.stdout
    assert "brought there" in done.stderr
    assert_no_secret(remote_project, done.stderr.split()[1].rstrip(":"))
    sent = re.search(r"sent in (\d+\.\d) s", done.stderr)
    assert sent
    assert float(sent[1]) <= MAX_SUBMIT_S
    assert project.run("git", "status", "--porcelain").stdout == ""
    trained = yaml.safe_load(contents(project, "there")["dvc.lock"])["stages"]["train"]["outs"]
    hashes = [out["md5"] for out in trained if out["path"] == "models/classifier"]
    assert [(project.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).is_file() for md5 in hashes] == [True]
    project.run("dvc", "exp", "run", "-n", "here", "-S", OVERRIDE)
    project.run("git", "reset", "-q", "--hard")
    there, here = contents(project, "there"), contents(project, "here")
    assert "dvc.lock" in there
    assert len(there) > 8
    assert there == here
    shown = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    assert "there" in json.dumps(shown)
    assert "there" in project.run("sentiment", "compare", "HEAD", "there").stdout
    project.run("dvc", "exp", "apply", "there")
    assert project.run("dvc", "status", "-q", check=False).returncode == 0
