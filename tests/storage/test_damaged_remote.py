"""Objects in the bucket that are gone or hold other bytes: never handed on, named with the stage that makes them."""

import hashlib
import json

import pytest
import yaml

from tests.storage.local_server import BUCKET


def object_of(project, stage, place=0):
    """Return path and hash of an output."""
    out = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"][stage]["outs"][place]
    return out["path"], out["md5"]


def key_of(prefix, md5):
    return f"{prefix}/files/md5/{md5[:2]}/{md5[2:]}"


@pytest.fixture
def clone(pushed, server, tmp_path, request):
    """A fresh clone whose remote is a copy of its own."""
    prefix = request.node.name
    server.copy("pushed/files", f"{prefix}/files")
    clone = pushed.clone(tmp_path / "clone")
    server.connect(clone, prefix)
    return clone


def test_wrong_bytes_are_not_handed_on(clone, server, request):
    path, md5 = object_of(clone, "prepare")
    key = key_of(request.node.name, md5)
    right = server.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    wrong = bytes(len(right))  # the size that was expected
    server.client().put_object(Bucket=BUCKET, Key=key, Body=wrong)

    pull = clone.run("dvc", "pull", check=False)
    assert pull.returncode != 0
    assert path in pull.stderr
    assert not (clone.root / path).exists()
    held = {hashlib.md5(file.read_bytes()).hexdigest() for file in clone.root.rglob("*") if file.is_file()}
    assert hashlib.md5(wrong).hexdigest() not in held

    told = clone.run("python", "-m", "storage.pull", check=False)
    assert told.returncode != 0
    assert (
        f"{path} (stage prepare): s3://{BUCKET}/{key} holds other bytes; `aws s3 rm s3://{BUCKET}/{key}`" in told.stderr
    )

    # the advice that it gives mends the remote
    server.client().delete_object(Bucket=BUCKET, Key=key)
    clone.run("dvc", "repro", "prepare")
    clone.run("dvc", "push")
    assert server.client().get_object(Bucket=BUCKET, Key=key)["Body"].read() == right


def test_a_wrong_file_in_a_folder_is_named(clone, server, request):
    path, md5 = object_of(clone, "encode")
    listed = server.client().get_object(Bucket=BUCKET, Key=key_of(request.node.name, md5))["Body"].read()
    part = next(entry for entry in json.loads(listed) if entry["relpath"] == "test.npy")
    key = key_of(request.node.name, part["md5"])
    server.client().put_object(Bucket=BUCKET, Key=key, Body=b"other")

    told = clone.run("python", "-m", "storage.pull", check=False)
    assert told.returncode != 0
    assert f"{path}/test.npy (stage encode): s3://{BUCKET}/{key} holds other bytes" in told.stderr
    assert not (clone.root / path).exists()


def test_a_missing_object_names_its_stage_and_is_made_again(clone, server, request):
    path, md5 = object_of(clone, "prepare")
    key = key_of(request.node.name, md5)
    server.client().delete_object(Bucket=BUCKET, Key=key)

    told = clone.run("python", "-m", "storage.pull", check=False)
    assert told.returncode != 0
    assert path in told.stderr
    lines = [line for line in told.stderr.splitlines() if line.startswith("pull: ")]
    assert lines == [
        f"pull: {path} (stage prepare): s3://{BUCKET}/{key} is missing; `dvc repro prepare`, then `dvc push`"
    ]

    repro = clone.run("dvc", "repro")
    assert "Running stage 'prepare'" in repro.stdout
    assert hashlib.md5((clone.root / path).read_bytes()).hexdigest() == md5
    clone.run("dvc", "push")
    assert key in server.keys_below(request.node.name)
