"""What is refused before anything is sent: one line, exit status 1; and what goes along."""

import json
from pathlib import Path

import boto3
import pytest

from sentiment.common.errors import ParamsError
from sentiment.remote.client import experiments
from sentiment.remote.runner import Log, Store, secrets_of
from tests.project import Project
from tests.remote.conftest import RemoteProject


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temp"], "--temp: not available in a remote run"),
        (["-S", "train.seed"], "-S train.seed"),
        (["-n", "a b; rm x"], "'a b; rm x' is not a name"),
        (["-n", "-x"], "arguments of dvc exp run"),
        (["$(id)"], r"'\$\(id\)' is not a target"),
    ],
)
def test_arguments_that_make_no_sense_elsewhere_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        experiments(arguments, None)


def test_several_values_make_a_grid_and_other_arguments_pass_through() -> None:
    grid = experiments(["--queue", "-S", "train.seed=1,2", "-S", "train.threshold=0.5", "-f", "train"], "x")
    assert grid == [
        ["-n", f"x-{seed}", f"--set-param=train.seed={seed}", "--set-param=train.threshold=0.5", "-f", "train"]
        for seed in (1, 2)
    ]
    assert experiments([], None) == [[]]


def test_a_tree_with_changes_is_refused(project: Project) -> None:
    project.set_params(train={"seed": 7})
    (project.root / "notes.txt").write_text("untracked\n")
    refused = project.run("sentiment", "remote", "run", check=False)
    assert refused.returncode == 1
    assert refused.stderr == (
        "error: params.yaml and 1 more not committed; commit, or take the changes along by --include-changes\n"
    )


def test_another_backend_is_refused(project: Project) -> None:
    refused = project.run("sentiment", "remote", "run", "--on", "moon", check=False)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert "--on moon: expected local" in refused.stderr


class FakeStore(Store):
    """Keeps what is put."""

    def __init__(self) -> None:
        super().__init__(None, "bucket", "prefix")
        self.content = b""

    def put(self, name: str, body: bytes) -> None:
        self.content += body

    def object(self, name: str) -> None:
        """Find nothing: no runner was here before."""


def test_secrets_do_not_reach_the_log_also_when_a_role_changes_them(tmp_path: Path) -> None:
    keys = {"first/key"}
    store = FakeStore()
    log = Log(store, tmp_path / "log.txt", lambda: set(keys))
    log.write(b"environment: first/key\n")
    keys.add("second/key")
    log.write(b"printed before the runner knows: second/key\n")
    log.upload()
    log.write(b"and afterwards: second/key first/key\n")
    log.upload()
    assert b"/key" not in store.content
    assert store.content.count(b"***") == 4


def test_the_keys_of_a_profile_are_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text("[team]\naws_access_key_id = AKIA\naws_secret_access_key = s3cr3t/key\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert secrets_of(boto3.Session(profile_name="team")) == {"s3cr3t/key"}


@pytest.mark.slow
@pytest.mark.s3
def test_changes_go_along_and_no_secret_does(remote_project: RemoteProject) -> None:
    project = remote_project.project
    project.set_params(train={"threshold": 0.97})
    (project.root / "notes.txt").write_text("untracked\n")
    done = remote_project.remote("run", "-n", "changed", "--include-changes")
    assert "brought changed" in done.stderr
    ref = project.experiment("changed")
    assert "threshold: 0.97" in project.run("git", "show", f"{ref}:params.yaml").stdout
    assert project.run("git", "rev-parse", f"{ref}^").stdout == project.run("git", "rev-parse", "HEAD").stdout
    assert project.run("git", "status", "--porcelain").stdout == " M params.yaml\n?? notes.txt\n"
    job_id = done.stderr.split()[1].rstrip(":")
    key = remote_project.server.credentials.developer
    names = remote_project.objects(job_id)
    assert {"input/job.json", "input/repo.bundle", "input/runner.py", "status.json", "experiments.bundle"} < names
    for name in names:
        body = remote_project.read(job_id, name)
        assert key.secret_access_key.encode() not in body, name
    assert json.loads(remote_project.read(job_id, "status.json"))["state"] == "finished"
