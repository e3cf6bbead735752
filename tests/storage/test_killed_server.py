"""The server dies in the middle of 120 MB: no half-written object passes for a complete one, and a retry completes."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.project import Project
from tests.s3_server import BUCKET, S3Server, folder_size, start_command, wait_for

MB = 1_000_000
N_FILES = 2
FILE_SIZE = 60 * MB


def write_random_files(folder: Path, sizes: list[int]) -> dict[str, str]:
    """Write files of random bytes; return their hashes."""
    folder.mkdir(exist_ok=True)
    hashes = {}
    for index, size in enumerate(sizes):
        content = os.urandom(size)
        (folder / f"{index}.bin").write_bytes(content)
        hashes[f"{index}.bin"] = hashlib.sha256(content).hexdigest()
    return hashes


def hashes_of(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


@pytest.mark.slow
def test_push_and_pull_complete_after_the_server_was_killed_halfway(
    own_s3_server: S3Server, tmp_path: Path, bare_project: Project
) -> None:
    server, project = own_s3_server, bare_project
    server.connect(project, "big")
    before = write_random_files(project.root / "big", [1000])
    project.run("dvc", "add", "big")
    project.commit("Small")
    project.run("dvc", "push")
    older = project.clone(tmp_path / "older")
    server.connect(older, "big")
    older.run("dvc", "pull")
    after = write_random_files(project.root / "big", [FILE_SIZE] * N_FILES)
    project.run("dvc", "add", "big")
    project.commit("Large")
    keys_before = server.object_keys("big")

    # in the middle of a push
    data = server.project.root / ".s3" / "data"
    start = folder_size(data)
    push = start_command(project, "dvc", "push")
    wait_for(lambda: folder_size(data) - start > 40 * MB)
    assert push.poll() is None
    server.kill()
    output, _ = push.communicate(timeout=120)
    assert push.returncode != 0, output

    server.start()
    complete = {"big/files/md5/" + name for name in cache_names(project)}
    for key in server.object_keys("big") - keys_before:
        assert key in complete
        assert md5_of(server, key) == key.removeprefix("big/files/md5/").replace("/", "")
    assert "new:" in project.run("dvc", "status", "-c").stdout
    project.run("dvc", "push")
    assert "in sync" in project.run("dvc", "status", "-c").stdout

    # in the middle of a pull, over an older version
    older.run("git", "pull", "-q")
    pull = start_command(older, "dvc", "pull")
    wait_for(lambda: folder_size(older.root / ".dvc" / "cache") > 20 * MB)
    assert pull.poll() is None
    server.kill()
    output, _ = pull.communicate(timeout=120)
    assert pull.returncode != 0, output
    assert hashes_of(older.root / "big") == before, "the workspace is partly replaced"

    server.start()
    older.run("dvc", "pull")
    assert hashes_of(older.root / "big") == after
    assert "in sync" in older.run("dvc", "status", "-c").stdout


def cache_names(project: Project) -> set[str]:
    """Return the names of the objects in a project's cache, as the remote spells them."""
    folder = project.root / ".dvc" / "cache" / "files" / "md5"
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def md5_of(server: S3Server, key: str) -> str:
    digest = hashlib.md5()
    for chunk in server.client().get_object(Bucket=BUCKET, Key=key)["Body"].iter_chunks(MB):
        digest.update(chunk)
    return digest.hexdigest() + (".dir" if key.endswith(".dir") else "")
