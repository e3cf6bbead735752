"""The command as people call it, without the seconds of a new process, and a real S3 server."""

import io
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from sentiment.cli.app import main
from sentiment.inference.classifier import SentimentClassifier
from tests.conftest import Project

KEYS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_REGION": "us-east-1"}


@dataclass(frozen=True)
class Outcome:
    """Exit status, standard output and log of one call."""

    status: int
    out: str
    stderr: str


@pytest.fixture(scope="session")
def classifier(completed_template: Project) -> Path:
    return completed_template.root / "models" / "classifier"


@pytest.fixture(scope="session")
def sentiment(classifier: Path) -> SentimentClassifier:
    return SentimentClassifier.load(classifier)


@pytest.fixture
def predict(
    classifier: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Callable[..., Outcome]:
    """Call `sentiment predict` with arguments and bytes on standard input."""

    def call(*arguments: object, stdin: bytes = b"") -> Outcome:
        out = io.TextIOWrapper(io.BytesIO())
        caplog.set_level(logging.INFO, logger="sentiment")
        caplog.clear()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as ended:
            main(["predict", "--classifier", str(classifier), *map(str, arguments)])
        return Outcome(int(ended.value.code or 0), out.buffer.getvalue().decode(), "\n".join(caplog.messages))

    return call


def free_port() -> int:
    """A port that is free and whose twin, 10,000 above, is free too; SeaweedFS takes that for gRPC."""
    while True:
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 0))
            port = int(low.getsockname()[1])
            if port > 55_000:
                continue
            try:
                high.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a SeaweedFS server with a bucket `reviews`."""
    folder = tmp_path_factory.mktemp("weed")
    kinds = ("s3.port", "master.port", "volume.port", "filer.port", "admin.port")
    ports = {kind: free_port() for kind in kinds}
    quiet = ("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false")
    command = ["weed", "mini", f"-dir={folder}", "-bucket=reviews", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *quiet]
    command += [f"-{kind}={port}" for kind, port in ports.items()]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env={**os.environ, **KEYS, "PATH": path}, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{ports['s3.port']}"
        _wait_for_bucket(address, folder / "log")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _wait_for_bucket(address: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            client(address).head_bucket(Bucket="reviews")
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(log.read_text(errors="replace")[-2000:])


def client(address: str):
    return boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=KEYS["AWS_REGION"],
    )


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch):
    """A client of the server, which the usual AWS environment variables name too."""
    for name, value in {**KEYS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL_S3": s3_server}.items():
        monkeypatch.setenv(name, value)
    return client(s3_server)
