"""What `make doctor` and DVC say when the remote cannot be used, and who may read the bucket."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from sentiment.storage.s3 import STORAGE, Remote
from sentiment.storage.transfer import remote_checks
from tests.project import Project
from tests.s3_server import BUCKET, PUBLIC_BUCKET, AccessKey, S3Server, free_port


def results_of(doctor: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """Return status and text by check."""
    rows = [line.split(maxsplit=2) for line in doctor.stdout.splitlines()]
    return {check: (status, text) for status, check, text in rows}


def broken_remotes(server: S3Server) -> dict[str, tuple[dict[str, str], str, str]]:
    """Return the settings that break a remote, the check that must fail, and words of its line."""
    no_keys = {"access_key_id": "", "secret_access_key": ""}
    return {
        "wrong secret": ({"secret_access_key": "wrong"}, "bucket", "secret key is wrong"),
        "unknown key": ({"access_key_id": "nobody"}, "bucket", "does not know this access key id"),
        "no credentials": (no_keys, "identity", "no credentials; `make s3`"),
        "no bucket": ({"url": "s3://no-such-bucket/x"}, "bucket", "no such bucket"),
        "unreachable": ({"endpointurl": f"http://127.0.0.1:{free_port()}"}, "bucket", "does not answer"),
    }


CASES = (
    "wrong secret",
    "no credentials",
    *(pytest.param(case, marks=pytest.mark.slow) for case in ("unknown key", "no bucket", "unreachable")),
)


@pytest.mark.parametrize("case", CASES)
def test_remote_with_broken_settings_fails_one_check_in_one_line(
    case: str, s3_server: S3Server, bare_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, check, words = broken_remotes(s3_server)[case]
    s3_server.connect(bare_project, "access", **settings)
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
    results = list(
        remote_checks(Remote.read(STORAGE))
    )  # the command's own checks of the remote, without importing torch
    assert [result.check for result in results if result.status == "FAIL"] == [check]
    assert words in results[-1].text
    assert not [result for result in results if s3_server.credentials.developer.secret_access_key in str(result)]
    assert len(str(results[-1]).splitlines()) == 1


def test_an_endpoint_that_is_no_url_is_named(s3_server: S3Server, bare_project: Project) -> None:
    s3_server.connect(bare_project, "broken", endpointurl="minio.example.com")
    doctor = bare_project.run("sentiment", "doctor", check=False)
    assert doctor.returncode == 1
    assert doctor.stderr.startswith("error: endpointurl of DVC remote 'storage' is 'minio.example.com', expected http")
    assert doctor.stderr.count("\n") == 1


def test_doctor_with_a_stopped_server_names_it(s3_server: S3Server, bare_project: Project) -> None:
    s3_server.connect(bare_project, "broken", endpointurl=f"http://127.0.0.1:{free_port()}")
    doctor = bare_project.run("sentiment", "doctor", check=False)
    assert doctor.returncode == 1
    results = results_of(doctor)
    assert (list(results), results["bucket"][0]) == (["remote", "identity", "bucket"], "FAIL")
    assert doctor.stderr == ""


def test_doctor_with_a_working_remote_passes_every_check(s3_server: S3Server, bare_project: Project) -> None:
    s3_server.connect(bare_project, "healthy")
    doctor = bare_project.run("sentiment", "doctor")
    results = results_of(doctor)
    assert {check: status for check, (status, _) in results.items()} == dict.fromkeys(
        ("remote", "identity", "bucket", "write"), "ok"
    )
    assert s3_server.credentials.developer.access_key_id in results["identity"][1]
    assert s3_server.credentials.developer.secret_access_key not in doctor.stdout + doctor.stderr
    assert s3_server.object_keys("healthy") == set()


def test_requests_without_keys_are_refused(s3_server: S3Server) -> None:
    key = "access/object"
    s3_server.client().put_object(Bucket=BUCKET, Key=key, Body=b"content")
    requests: tuple[Callable[[], object], ...] = (
        lambda: s3_server.anonymous_client().get_object(Bucket=BUCKET, Key=key),
        lambda: s3_server.anonymous_client().list_objects_v2(Bucket=BUCKET),
        lambda: s3_server.anonymous_client().put_object(Bucket=PUBLIC_BUCKET, Key="x", Body=b""),
        lambda: s3_server.client(AccessKey("developer", "guess")).get_object(Bucket=BUCKET, Key=key),
    )
    for request in requests:
        with pytest.raises(ClientError) as refused:
            request()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_every_port_listens_on_loopback_only(s3_server: S3Server) -> None:
    assert s3_server.process
    listening = [found.laddr.ip for found in s3_server.process.net_connections("tcp") if found.status == "LISTEN"]
    assert len(listening) >= 10
    assert set(listening) == {"127.0.0.1"}


def test_git_sees_neither_keys_nor_data_of_the_server(s3_server: S3Server) -> None:
    root = s3_server.project.root
    assert (root / ".dvc/config.local").is_file()
    assert (root / ".s3/identities.json").is_file()
    untracked = s3_server.project.run("git", "status", "--short", "--untracked-files=all", "--", ".dvc", ".s3").stdout
    assert untracked == ""


@pytest.mark.slow
def test_doctor_with_keys_that_may_only_read_ends_in_a_note_and_exits_with_0(
    s3_server: S3Server, pushed_project: Project, tmp_path: Path
) -> None:
    clone = pushed_project.clone(tmp_path / "clone")
    key = s3_server.credentials.reader
    s3_server.connect(clone, "pushed", access_key_id=key.access_key_id, secret_access_key=key.secret_access_key)
    doctor = clone.run("sentiment", "doctor")
    results = results_of(doctor)
    assert results["write"] == (
        "note",
        "not permitted: these keys can pull but not push (docs/s3.md has the policy for push)",
    )
    clone.run("dvc", "pull")
