"""The server dies in the middle of 200 MB: nothing half-written is taken for whole, and the next try completes."""

import hashlib
import os

from tests.storage.local_server import BUCKET, begin, size_of, wait_for

MB = 1_000_000
FILES = 2
EACH = 105 * MB


def fill(folder, sizes):
    """Write files of random bytes; return their hashes."""
    folder.mkdir(exist_ok=True)
    hashes = {}
    for place, size in enumerate(sizes):
        content = os.urandom(size)
        (folder / f"{place}.bin").write_bytes(content)
        hashes[f"{place}.bin"] = hashlib.sha256(content).hexdigest()
    return hashes


def hashes_of(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_a_push_and_a_pull_survive_the_death_of_the_server(server_to_kill, tmp_path, bare_project):
    server, project = server_to_kill, bare_project
    server.connect(project, "big")
    before = fill(project.root / "big", [1000])
    project.run("dvc", "add", "big")
    project.commit("Small")
    project.run("dvc", "push")
    early = project.clone(tmp_path / "early")
    server.connect(early, "big")
    early.run("dvc", "pull")
    after = fill(project.root / "big", [EACH] * FILES)
    project.run("dvc", "add", "big")
    project.commit("Large")
    known = server.keys_below("big")

    # in the middle of a push
    data = server.project.root / ".s3" / "data"
    start = size_of(data)
    push = begin(project, "dvc", "push")
    wait_for(lambda: size_of(data) - start > 40 * MB)
    assert push.poll() is None
    server.kill()
    output, _ = push.communicate(timeout=120)
    assert push.returncode != 0, output

    server.start()
    whole = {"big/files/md5/" + name for name in cache_names(project)}
    for key in server.keys_below("big") - known:
        assert key in whole
        assert md5_of(server, key) == key.removeprefix("big/files/md5/").replace("/", "")
    assert "new:" in project.run("dvc", "status", "-c").stdout
    project.run("dvc", "push")
    assert "in sync" in project.run("dvc", "status", "-c").stdout

    # in the middle of a pull, over an older version
    early.run("git", "pull", "-q")
    pull = begin(early, "dvc", "pull")
    wait_for(lambda: size_of(early.root / ".dvc" / "cache") > 20 * MB)
    assert pull.poll() is None
    server.kill()
    output, _ = pull.communicate(timeout=120)
    assert pull.returncode != 0, output
    assert hashes_of(early.root / "big") == before, "the workspace is half replaced"

    server.start()
    early.run("dvc", "pull")
    assert hashes_of(early.root / "big") == after
    assert "in sync" in early.run("dvc", "status", "-c").stdout


def cache_names(project):
    """Return the names of the objects in a project's cache, as the remote spells them."""
    folder = project.root / ".dvc" / "cache" / "files" / "md5"
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def md5_of(server, key):
    digest = hashlib.md5()
    for chunk in server.client().get_object(Bucket=BUCKET, Key=key)["Body"].iter_chunks(MB):
        digest.update(chunk)
    return digest.hexdigest() + (".dir" if key.endswith(".dir") else "")
