"""What is refused before anything is sent: one line, exit status 1; and what is a secret."""

from pathlib import Path
from typing import Any

import boto3
import pytest

from sentiment.common.errors import InputError, ParamsError
from sentiment.remote.client import _import_bundle, experiments, git
from sentiment.remote.runner import Log, Store, secrets_of
from tests.project import Project
from tests.remote.sagemaker_server import ROLE, running_moto
from tests.s3_server import REGION


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temp"], "--temp: not available in a remote run"),
        (["-S", "train.seed"], "arguments of dvc exp run: Error parsing override 'train.seed'"),
        (["-n", "a b; rm x"], "'a b; rm x' is not a name"),
        (["-n", "-x"], "arguments of dvc exp run"),
    ],
)
def test_arguments_that_make_no_sense_elsewhere_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        experiments(arguments, None)


def test_several_values_make_a_grid_and_other_arguments_pass_through() -> None:
    threshold = "--set-param=params.yaml:train.threshold=0.5"
    grid = experiments(["--queue", "-S", "train.seed=1,2", "-S", "train.threshold=0.5", "-f", "train"], "x")
    assert grid == [
        ["-n", f"x-{number}", f"--set-param=params.yaml:train.seed={number}", threshold, "-f", "train"]
        for number in (1, 2)
    ]
    product = experiments(["-S", "train.seed=1,2", "-S", "train.threshold=0.4,0.97"], "x")
    assert [[word.rpartition(".")[2] for word in run] for run in product] == [
        ["-n", "x-1", "seed=1", "4"], ["-n", "x-2", "seed=1", "97"],
        ["-n", "x-3", "seed=2", "4"], ["-n", "x-4", "seed=2", "97"],
    ]  # fmt: skip
    assert experiments([], None) == [[]]


def test_a_tree_with_changes_is_refused(project: Project) -> None:
    project.set_params(train={"seed": 7})
    (project.root / "notes.txt").write_text("untracked\n")
    refused = project.run("sentiment", "remote", "run", check=False)
    assert refused.returncode == 1
    assert refused.stderr == ("error: params.yaml and 1 more not committed; commit, or git stash -u, first\n")


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
        self.content = body

    def get(self, name: str, begin: int = 0) -> bytes:
        return self.content[begin:]


def test_secrets_do_not_reach_the_log_also_when_a_role_changes_them(tmp_path: Path) -> None:
    keys = {"first/key"}
    store = FakeStore()
    log = Log(store, tmp_path / "log.txt", lambda: set(keys))
    assert (tmp_path / "log.txt").stat().st_mode & 0o077 == 0
    log.line("environment: first/key")
    log.file.write(b"half of a line, and half of a key: second")
    log.upload()
    assert store.content == b"remote: environment: ***\n"
    keys.add("second/key")
    log.file.write(b"/key\n")
    keys.remove("first/key")
    log.line("and afterwards: second/key first/key")
    log.upload(is_end=True)
    assert b"/key" not in store.content
    assert store.content.count(b"***") == 4


def test_secrets_may_change_while_a_text_is_searched(tmp_path: Path) -> None:
    """The heartbeat and the job itself hide secrets at the same time."""
    keys = {"first/key"}
    log = Log(FakeStore(), tmp_path / "log.txt", lambda: set(keys))

    class Text(bytes):
        def replace(self, *arguments: Any) -> bytes:
            keys.add("second/key")
            log.without_secrets(b"")  # of the other thread
            return super().replace(*arguments)

    assert log.without_secrets(Text(b"first/key")) == b"***"
    assert log.without_secrets(b"second/key") == b"***"


def test_the_keys_of_every_profile_and_of_an_assumed_role_are_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").write_text(
        "[base]\naws_access_key_id = AKIA\naws_secret_access_key = s3cr3t/key\naws_session_token = t0k3n/of/base\n"
        f"[role]\nrole_arn = {ROLE}\nsource_profile = base\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with running_moto(tmp_path / "moto.log") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        session = boto3.Session(profile_name="role", region_name=REGION)
        assumed = session.get_credentials().get_frozen_credentials()
        assert secrets_of(session) == {"s3cr3t/key", "t0k3n/of/base", assumed.secret_key, assumed.token}


def test_of_a_bundle_only_experiments_are_taken_and_none_replaces_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there, bundle = tmp_path / "here", tmp_path / "there", tmp_path / "sent.bundle"
    here.mkdir()
    monkeypatch.chdir(here)
    person = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    git("init", "-q")
    git(*person, "commit", "-q", "--allow-empty", "-m", "start")
    git("clone", "-q", str(here), str(there))
    head = git("rev-parse", "HEAD")
    ref = f"refs/exps/{head[:2]}/{head[2:]}/one"

    def sent(text: str) -> tuple[str, bytes]:
        commit = git("-C", str(there), *person, "commit-tree", "-m", text, "-p", "HEAD", "HEAD^{tree}")
        for name in (ref, "refs/heads/other", f"refs/exps/{head[:2]}/{head[2:]}/+two"):
            git("-C", str(there), "update-ref", name, commit)
        git("-C", str(there), "bundle", "create", "-q", str(bundle), "--all", f"^{head}")
        return commit, bundle.read_bytes()

    commit, content = sent("first")
    for _ in range(2):  # a second fetch finds what it would bring
        assert _import_bundle(content) == {ref: commit}
    refs = git("for-each-ref", "--format=%(refname)").splitlines()
    _, other = sent("second")
    with pytest.raises(InputError, match="experiment 'one' is here with another content; dvc exp rename it"):
        _import_bundle(other)
    assert git("for-each-ref", "--format=%(refname)").splitlines() == refs
    assert [name for name in refs if not name.startswith("refs/heads/")] == [ref]
    assert "refs/heads/other" not in refs
