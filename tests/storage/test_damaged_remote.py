"""Objects in the bucket that are missing or hold other bytes: never checked out, and named with their stage."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from sentiment.storage.transfer import is_cached
from tests.project import Project
from tests.s3_server import BUCKET, S3Server, free_port

pytestmark = pytest.mark.slow  # each test starts servers, or draws in a browser


def first_output(project: Project, stage: str) -> tuple[str, str]:
    """Return path and hash of a stage's first output."""
    out = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"][stage]["outs"][0]
    return out["path"], out["md5"]


def key_of(prefix: str, md5: str) -> str:
    return f"{prefix}/files/md5/{md5[:2]}/{md5[2:]}"


@pytest.fixture
def clone(pushed_project: Project, s3_server: S3Server, tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    """A fresh clone whose remote is a copy of its own."""
    prefix = request.node.name
    s3_server.copy("pushed/files", f"{prefix}/files")
    clone = pushed_project.clone(tmp_path / "clone")
    s3_server.connect(clone, prefix)
    return clone


def test_pull_of_an_object_with_other_bytes_names_it_and_checks_nothing_out(
    clone: Project, s3_server: S3Server, request: pytest.FixtureRequest
) -> None:
    path, md5 = first_output(clone, "prepare")
    key = key_of(request.node.name, md5)
    content = s3_server.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    wrong = bytes(len(content))  # the size that was expected
    s3_server.client().put_object(Bucket=BUCKET, Key=key, Body=wrong)

    pull = clone.run("dvc", "pull", check=False)
    assert pull.returncode != 0
    assert path in pull.stderr
    assert not (clone.root / path).exists()
    hashes_on_disk = {hashlib.md5(file.read_bytes()).hexdigest() for file in clone.root.rglob("*") if file.is_file()}
    assert hashlib.md5(wrong).hexdigest() not in hashes_on_disk

    pull = clone.run("sentiment", "pull", check=False)
    assert pull.returncode != 0
    assert (
        f"{path} (stage prepare): s3://{BUCKET}/{key} holds other bytes; `aws s3 rm s3://{BUCKET}/{key}`" in pull.stderr
    )

    # the commands in that line repair the remote
    s3_server.client().delete_object(Bucket=BUCKET, Key=key)
    clone.run("dvc", "repro", "prepare")
    clone.run("dvc", "push")
    assert s3_server.client().get_object(Bucket=BUCKET, Key=key)["Body"].read() == content


def test_pull_of_a_folder_names_the_file_with_other_bytes(
    clone: Project, s3_server: S3Server, request: pytest.FixtureRequest
) -> None:
    path, md5 = first_output(clone, "encode")
    listed = s3_server.client().get_object(Bucket=BUCKET, Key=key_of(request.node.name, md5))["Body"].read()
    file = next(entry for entry in json.loads(listed) if entry["relpath"] == "test.npy")
    key = key_of(request.node.name, file["md5"])
    s3_server.client().put_object(Bucket=BUCKET, Key=key, Body=b"other")

    pull = clone.run("sentiment", "pull", check=False)
    assert pull.returncode != 0
    assert f"{path}/test.npy (stage encode): s3://{BUCKET}/{key} holds other bytes" in pull.stderr
    assert not (clone.root / path).exists()


def test_pull_of_a_missing_object_names_the_stage_that_makes_it(
    clone: Project, s3_server: S3Server, request: pytest.FixtureRequest
) -> None:
    path, md5 = first_output(clone, "prepare")
    key = key_of(request.node.name, md5)
    s3_server.client().delete_object(Bucket=BUCKET, Key=key)

    pull = clone.run("sentiment", "pull", check=False)
    assert pull.returncode != 0
    assert path in pull.stderr
    lines = [line for line in pull.stderr.splitlines() if line.startswith("pull: ")]
    assert lines == [
        f"pull: {path} (stage prepare): s3://{BUCKET}/{key} is missing; `dvc repro prepare`, then `dvc push`"
    ]

    repro = clone.run("dvc", "repro")
    assert "Running stage 'prepare'" in repro.stdout
    assert hashlib.md5((clone.root / path).read_bytes()).hexdigest() == md5
    clone.run("dvc", "push")
    assert key in s3_server.object_keys(request.node.name)


def test_pull_while_the_server_does_not_answer_says_so(clone: Project) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    clone.run("dvc", "remote", "modify", "--local", "storage", "endpointurl", endpoint)
    pull = clone.run("sentiment", "pull", check=False)
    assert pull.returncode != 0
    lines = [line for line in pull.stderr.splitlines() if line.startswith("pull: ")]
    assert len(lines) == 1
    assert f"at {endpoint}: does not answer; start the local server with `make s3`" in lines[0]


def test_pull_that_fails_with_every_output_cached_still_says_something(pulled_clone: Project) -> None:
    (pulled_clone.root / "damaged.dvc").write_text("no outputs")
    pull = pulled_clone.run("sentiment", "pull", check=False)
    assert pull.returncode != 0
    assert "holds every output of dvc.lock; DVC's message above names the cause" in pull.stderr


def test_pull_from_a_named_remote_names_the_cause_at_that_remote(clone: Project) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    clone.run("dvc", "remote", "add", "--local", "other", "s3://elsewhere/store")
    for name, value in (("endpointurl", endpoint), ("access_key_id", "key"), ("secret_access_key", "secret")):
        clone.run("dvc", "remote", "modify", "--local", "other", name, value)
    pull = clone.run("sentiment", "pull", "-r", "other", check=False)
    assert pull.returncode != 0
    (line,) = [line for line in pull.stderr.splitlines() if line.startswith("pull: ")]
    assert f"pull: s3://elsewhere/store at {endpoint}: does not answer" in line


def test_an_output_whose_list_of_files_is_damaged_is_not_cached(tmp_path: Path) -> None:
    md5 = "12" + "0" * 30 + ".dir"
    listing = tmp_path / "files" / "md5" / "12" / md5[2:]
    listing.parent.mkdir(parents=True)
    for content in ("[", "5", '[{"relpath": "a"}]', "\udc80"):
        listing.write_text(content, errors="surrogateescape")
        assert not is_cached(tmp_path, md5)
