"""The checks of `sentiment doctor` that need no S3 server, and a store that refuses checksums."""

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import ClientError

from sentiment.storage.errors import explain
from sentiment.storage.s3 import STORAGE, Remote
from sentiment.storage.transfer import remote_checks
from tests.project import Project
from tests.s3_server import S3Server


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("RequestTimeTooSkewed", "this machine's clock is wrong; set it (NTP)"),
        ("PermanentRedirect", "the bucket is in another region"),
        ("Unheard", "Unheard: two lines"),
    ],
)
def test_an_error_of_s3_is_one_line_that_says_what_to_do(code: str, words: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "two\nlines"}}, "PutObject")
    assert words in explain(error)
    assert "\n" not in explain(error)


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


@pytest.mark.slow
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
