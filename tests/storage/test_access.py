"""What `make doctor` and DVC say when the remote cannot be used, and who may read the bucket."""

import subprocess

import pytest
from botocore.exceptions import ClientError

from storage.identities import Keys
from storage.remote import STORAGE, Remote
from storage.remote_checks import remote_lines
from tests.storage.local_server import BUCKET, PUBLIC, free_port, size_of


def lines_of(doctor: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """Return status and text by check."""
    parts = [line.split(maxsplit=2) for line in doctor.stdout.splitlines()]
    return {check: (status, text) for status, check, text in parts}


def cases(server):
    """The settings that spoil a remote, the check that must fail, and what its line must say."""
    reader = server.identities.reader
    no_keys = {"access_key_id": "", "secret_access_key": ""}
    return {
        "wrong secret": ({"secret_access_key": "wrong"}, "bucket", "secret key is wrong"),
        "unknown key": ({"access_key_id": "nobody"}, "bucket", "does not know this access key id"),
        "no credentials": (no_keys, "identity", "no credentials; `make s3`"),
        "no bucket": ({"url": "s3://no-such-bucket/x"}, "bucket", "no such bucket"),
        "no write": (
            {"access_key_id": reader.access_key_id, "secret_access_key": reader.secret_access_key},
            "write",
            "not permitted",
        ),
        "unreachable": ({"endpointurl": f"http://127.0.0.1:{free_port()}"}, "clock", "does not answer"),
    }


CASES = ("wrong secret", "unknown key", "no credentials", "no bucket", "no write", "unreachable")


@pytest.mark.parametrize("case", CASES)
def test_a_remote_that_cannot_be_used(case, server, bare_project, monkeypatch):
    settings, check, says = cases(server)[case]
    server.connect(bare_project, "access", **settings)
    (bare_project.root / "data.txt").write_text(case)
    bare_project.run("dvc", "add", "data.txt")
    cache = bare_project.root / ".dvc" / "cache"
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}

    push = bare_project.run("dvc", "push", check=False)
    assert push.returncode != 0
    assert "Traceback" not in push.stderr
    assert {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()} == before
    assert before

    monkeypatch.chdir(bare_project.root)
    lines = list(remote_lines(Remote.read(STORAGE)))  # the command's own checks of the remote, without importing torch
    assert [line.check for line in lines if line.status == "FAIL"] == [check]
    assert says in lines[-1].text
    assert not [line for line in lines if server.identities.developer.secret_access_key in str(line)]
    assert len(str(lines[-1]).splitlines()) == 1


def test_the_doctor_exits_with_1_when_something_is_broken(server, project):
    server.connect(project, "broken", endpointurl=f"http://127.0.0.1:{free_port()}")
    (project.root / "models/encoder/model.safetensors").unlink()
    doctor = project.run("python", "-m", "storage.doctor", check=False)
    assert doctor.returncode == 1
    found = lines_of(doctor)
    assert (found["clock"][0], found["cache"][0], found["encoder"][0]) == ("FAIL", "ok", "FAIL")
    assert "no safetensors weights" in found["encoder"][1]
    assert doctor.stderr == ""


def test_a_healthy_remote(server, pushed, tmp_path):
    clone = pushed.clone(tmp_path / "clone")
    server.connect(clone, "healthy")
    doctor = clone.run("python", "-m", "storage.doctor")
    found = lines_of(doctor)
    assert [found[check][0] for check in ("identity", "clock", "bucket", "write", "read", "delete")] == ["ok"] * 6
    assert found["cache"][0] == found["encoder"][0] == "ok"
    assert found["gpu"][0] in ("ok", "note")
    assert server.identities.developer.access_key_id in found["identity"][1]
    assert server.identities.developer.secret_access_key not in doctor.stdout + doctor.stderr
    assert server.keys_below("healthy") == set()


def test_reading_without_keys_is_refused(server, pushed):
    key = min(server.keys_below("pushed"))
    for ask in (
        lambda: server.stranger().get_object(Bucket=BUCKET, Key=key),
        lambda: server.stranger().list_objects_v2(Bucket=BUCKET),
        lambda: server.stranger().put_object(Bucket=PUBLIC, Key="x", Body=b""),
        lambda: server.client(Keys("developer", "guess")).get_object(Bucket=BUCKET, Key=key),
    ):
        with pytest.raises(ClientError) as refused:
            ask()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert size_of(server.project.root / ".s3") > 0


def test_no_port_listens_beyond_loopback(server):
    listening = [found.laddr.ip for found in server.process.net_connections("tcp") if found.status == "LISTEN"]
    assert len(listening) >= 10
    assert set(listening) == {"127.0.0.1"}


def test_no_secret_in_git(pushed, server):
    keys = [server.identities.developer, server.identities.reader]
    tracked = pushed.run("git", "ls-files", "-z").stdout.split("\0")
    assert {"dvc.lock", ".dvc/config", "metrics/evaluate.json"} <= set(tracked)
    assert not {".dvc/config.local", ".s3/identities.json"} & set(tracked)
    history = pushed.run("git", "log", "-p", "--all").stdout
    for pair in keys:
        for secret in (pair.secret_access_key, pair.access_key_id):
            assert secret not in history
            assert not [name for name in filter(None, tracked) if secret.encode() in (pushed.root / name).read_bytes()]
