"""The checks of `sentiment doctor` that need no S3 server, and a store that refuses checksums."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from sentiment.storage.doctor import (
    MachineError,
    Status,
    check_cache_space,
    check_skew,
    encoder,
    parse_server_time,
    remote_checks,
)
from sentiment.storage.s3 import STORAGE, Remote
from tests.hub_server import COMMIT, MODEL
from tests.project import BUNDLED, DEFAULTS, Project
from tests.s3_server import S3Server

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def params_of(encoder_folder: Path, folder: Path) -> Path:
    """Write params.yaml with this encoder."""
    sections = yaml.safe_load((DEFAULTS / "params.yaml").read_text())
    sections["finetune"]["encoder"] = str(encoder_folder)
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(sections))
    return path


def test_an_encoder_folder_with_weights_is_ok(tmp_path: Path) -> None:
    assert encoder(params_of(BUNDLED, tmp_path)) == ("ok", str(BUNDLED))


def test_a_pointer_whose_encoder_was_not_downloaded_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "pointer").mkdir()
    (tmp_path / "pointer" / "hub.json").write_text(json.dumps({"id": MODEL, "commit": COMMIT}))
    status, text = encoder(params_of(tmp_path / "pointer", tmp_path))
    assert status == "note"
    assert text.endswith(f"{MODEL} at {COMMIT} is downloaded when finetune runs")


def test_an_encoder_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"none: no such folder; .* or set finetune\.encoder to another"):
        encoder(params_of(tmp_path / "none", tmp_path))


def test_a_full_disk_is_refused_with_the_space_that_is_needed(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"0 MiB free, at least 1024 MiB"):
        check_cache_space(tmp_path, 1000)


@pytest.mark.parametrize(
    ("seconds", "status", "words"),
    [(0, "ok", "within 60 s"), (-300, "note", "300 s behind"), (2000, "FAIL", "2000 s ahead of")],
)
def test_clock_skew_is_judged_by_its_size(seconds: int, status: Status, words: str) -> None:
    actual, text = check_skew(NOON, NOON + timedelta(seconds=seconds))
    assert actual == status
    assert words in text


@pytest.mark.parametrize(
    "header",
    [
        "Sat, 28 Nov 2026 12:00:00 GMT",
        "Sat, 28 Nov 2026 12:00:00 -0000",
        "Sat, 28 Nov 2026 12:00:00 GMT, Sat, 28 Nov 2026 12:00:05 GMT",  # the server's and a proxy's
        "28 Nov 2026 12:00:00 GMT",
        "28 Nov 2026 12:00:00 GMT, 28 Nov 2026 12:00:05 GMT",
        "Saturday, 28-Nov-26 12:00:00 GMT",
        "Sat Nov 28 12:00:00 2026",
    ],
)
def test_every_form_of_a_date_header_is_read(header: str) -> None:
    assert parse_server_time(header) == NOON


@pytest.mark.parametrize("header", ["", ",", "now", "Sat, 28 Nov", "0", "Sat, 99 Nov 2026 99:00:00 GMT", "\ud800"])
def test_a_date_header_that_is_no_date_is_none(header: str) -> None:
    assert parse_server_time(header) is None


class ChecksumRefusal(BaseHTTPRequestHandler):
    """Pass requests on to the real S3 server, but refuse checksums as some S3-compatible stores do."""

    backend: int
    protocol_version = "HTTP/1.1"  # answers "Expect: 100-continue", which aiobotocore waits for

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if any(
            name.lower().startswith(("x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer")) for name in self.headers
        ):
            self.close_connection = True  # a body may follow that was not read
            error = b"<Error><Code>InvalidArgument</Code><Message>unsupported header</Message></Error>"
            self._answer(400, {"Content-Type": "application/xml"}, error)
            return
        connection = HTTPConnection("127.0.0.1", self.backend, timeout=30)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        self._answer(answer.status, dict(answer.headers), answer.read())
        connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on  # noqa: N815 - the names that http.server calls


@pytest.fixture
def store_without_checksums(s3_server: S3Server) -> Iterator[str]:
    """The endpoint of a store that refuses the checksums that botocore sends by default."""
    handler = type("Handler", (ChecksumRefusal,), {"backend": s3_server.port})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


def test_a_store_that_refuses_checksums_is_named_with_the_variable_that_helps(
    store_without_checksums: str, s3_server: S3Server, bare_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_server.connect(bare_project, "no-checksums", endpointurl=store_without_checksums)
    monkeypatch.chdir(bare_project.root)
    last = list(remote_checks(Remote.read(STORAGE)))[-1]
    assert (last.check, last.status) == ("write", "FAIL")
    assert "set AWS_REQUEST_CHECKSUM_CALCULATION=when_required" in last.text
    assert s3_server.object_keys("no-checksums") == set()

    (bare_project.root / "data.txt").write_text("data")
    bare_project.run("dvc", "add", "data.txt")
    push = bare_project.run("sentiment", "push", check=False)
    assert push.returncode != 0
    assert "set AWS_REQUEST_CHECKSUM_CALCULATION=when_required" in push.stderr
    bare_project.run("sentiment", "push", AWS_REQUEST_CHECKSUM_CALCULATION="when_required")
    assert len(s3_server.object_keys("no-checksums")) == 1
