"""Objects in the bucket that are missing or hold other bytes: never checked out, and named with their stage."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from sentiment.storage.transfer import is_cached
from tests.project import Project
from tests.s3_server import BUCKET, S3Server, free_port


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


@pytest.mark.slow
def test_pull_names_every_object_that_is_missing_or_has_other_bytes_and_the_commands_repair_it(
    clone: Project, s3_server: S3Server, request: pytest.FixtureRequest
) -> None:
    client, prefix = s3_server.client(), request.node.name
    path, md5 = first_output(clone, "prepare")
    damaged = key_of(prefix, md5)
    content = client.get_object(Bucket=BUCKET, Key=damaged)["Body"].read()
    wrong = bytes(len(content))  # the size that was expected
    client.put_object(Bucket=BUCKET, Key=damaged, Body=wrong)
    folder, listing = first_output(clone, "encode")
    files = json.loads(client.get_object(Bucket=BUCKET, Key=key_of(prefix, listing))["Body"].read())
    missing = key_of(prefix, next(file["md5"] for file in files if file["relpath"] == "test.npy"))
    client.delete_object(Bucket=BUCKET, Key=missing)

    pull = clone.run("sentiment", "pull", check=False)
    assert pull.returncode != 0
    assert [line for line in pull.stderr.splitlines() if line.startswith("pull: ")] == [
        f"pull: {path} (stage prepare): s3://{BUCKET}/{damaged} holds other bytes; "
        f"`aws s3 rm s3://{BUCKET}/{damaged}`, `dvc repro prepare`, then `dvc push`",
        f"pull: {folder}/test.npy (stage encode): s3://{BUCKET}/{missing} is missing; "
        f"`aws s3 rm s3://{BUCKET}/{key_of(prefix, listing)}`, `dvc repro encode`, then `dvc push`",
    ]
    assert not (clone.root / path).exists()
    assert not (clone.root / folder).exists()
    hashes_on_disk = {hashlib.md5(file.read_bytes()).hexdigest() for file in clone.root.rglob("*") if file.is_file()}
    assert hashlib.md5(wrong).hexdigest() not in hashes_on_disk

    for key in (damaged, key_of(prefix, listing)):
        client.delete_object(Bucket=BUCKET, Key=key)
    clone.run("dvc", "repro", "encode")
    clone.run("dvc", "push")
    assert client.get_object(Bucket=BUCKET, Key=damaged)["Body"].read() == content
    assert missing in s3_server.object_keys(prefix)


def causes_of_a_failed_pull(project: Project, *options: str) -> list[str]:
    (project.root / "damaged.dvc").write_text("no outputs")
    (project.root / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    pull = project.run("sentiment", "pull", *options, check=False)
    assert pull.returncode != 0
    return [line for line in pull.stderr.splitlines() if line.startswith("pull: ")]


def test_pull_from_a_named_remote_that_does_not_answer_says_so(bare_project: Project) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    with (bare_project.root / ".dvc" / "config").open("a") as config:
        settings = f"url = s3://elsewhere/store\nendpointurl = {endpoint}\naccess_key_id = a\nsecret_access_key = b\n"
        config.write(f"['remote \"other\"']\n{settings}")
    (line,) = causes_of_a_failed_pull(bare_project, "-r", "other")
    assert line.startswith(f"pull: s3://elsewhere/store at {endpoint}: does not answer; start the local server with")


def test_pull_that_fails_with_every_output_cached_still_says_something(
    bare_project: Project, s3_server: S3Server
) -> None:
    s3_server.connect(bare_project, "cached")
    (line,) = causes_of_a_failed_pull(bare_project)
    assert line.endswith("holds every output of dvc.lock; DVC's message above names the cause")


def test_an_output_whose_list_of_files_is_damaged_is_not_cached(tmp_path: Path) -> None:
    md5 = "12" + "0" * 30 + ".dir"
    listing = tmp_path / "files" / "md5" / "12" / md5[2:]
    listing.parent.mkdir(parents=True)
    for content in ("[", "5", '[{"relpath": "a"}]', "\udc80"):
        listing.write_text(content, errors="surrogateescape")
        assert not is_cached(tmp_path, md5)
