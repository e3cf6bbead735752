"""The local S3 server as the tests use it: started as a person starts it, from a project of its own."""

import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore import UNSIGNED
from botocore.config import Config
from dvc.config import Config as DvcConfig

from tests.project import Project
from tools.s3_server import ServerError, check_ports, endpoint_settings, find

BUCKET = "sentiment-dvc"
PUBLIC_BUCKET = "dlai-practical-data-science"
REGION = "us-east-1"


@dataclass(frozen=True)
class AccessKey:
    """An access key id and its secret."""

    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True)
class Credentials:
    """The access keys of a server: `developer` may do everything, `reader` may read and list."""

    developer: AccessKey
    reader: AccessKey


@dataclass(frozen=True)
class S3Server:
    """A local S3 server, started by `python -m tools.s3_server` in a project of its own."""

    project: Project
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        return self.project.root / ".s3"

    @property
    def credentials(self) -> Credentials:
        settings = [endpoint_settings(self.folder, self.port, name) for name in ("developer", "reader")]
        return Credentials(*(AccessKey(one["access_key_id"], one["secret_access_key"]) for one in settings))

    @property
    def process(self) -> psutil.Process | None:
        return find(self.folder)

    def call(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.project.run("python", "-m", "tools.s3_server", *arguments, check=check)

    def start(self) -> subprocess.CompletedProcess[str]:
        return self.call("start", "--port", str(self.port))

    def kill(self) -> None:
        """Stop it as a power cut would."""
        process = self.process
        assert process
        process.kill()
        process.wait(10)

    def environment(self, key: AccessKey | None = None) -> dict[str, str]:
        """Return the AWS variables that name this server."""
        key = key or self.credentials.developer
        return {
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
        }

    def client(self, key: AccessKey | None = None) -> Any:
        key = key or self.credentials.developer
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
        )

    def anonymous_client(self) -> Any:
        unsigned = Config(signature_version=UNSIGNED)
        return boto3.client("s3", endpoint_url=self.endpoint, region_name=REGION, config=unsigned)

    def connect(self, project: Project, prefix: str, **settings: str) -> None:
        """Point a project's DVC at this server, below a prefix of its own; a setting of "" is left out."""
        key = self.credentials.developer
        defaults = {
            "url": f"s3://{BUCKET}/{prefix}",
            "endpointurl": self.endpoint,
            "region": REGION,
            "access_key_id": key.access_key_id,
            "secret_access_key": key.secret_access_key,
        }
        with DvcConfig(str(project.root / ".dvc")).edit("local") as local:
            local["remote"] = {"storage": {name: value for name, value in (defaults | settings).items() if value}}

    def object_keys(self, prefix: str) -> set[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def copy(self, source: str, prefix: str) -> None:
        """Copy every object below one prefix to another, inside the server."""
        for key in self.object_keys(source):
            target = prefix + key.removeprefix(source)
            self.client().copy_object(Bucket=BUCKET, Key=target, CopySource={"Bucket": BUCKET, "Key": key})


@contextmanager
def running_server(project: Project) -> Iterator[S3Server]:
    """Start a server in a project, and stop it when the block ends."""
    server = S3Server(project, free_port())
    server.start()
    try:
        yield server
    finally:
        server.call("stop")
        assert server.process is None


def free_port() -> int:
    """Return a port that is free, and with it all others that a server on it needs.

    None of them is among those that systems give to outgoing connections, 32,768 and above on Linux: between this check
    and the server's start another test would take it.
    """
    for _ in range(100):
        port = random.randrange(12_000, 22_000)
        try:
            check_ports(port)
        except ServerError:
            continue
        return port
    raise AssertionError("no free port in 100 tries")


def start_command(project: Project, *command: str) -> "subprocess.Popen[str]":
    """Start a command in a project and do not wait for it."""
    return subprocess.Popen(
        command,
        cwd=project.root,
        env=project.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def wait_for(condition: Callable[[], object], timeout: float = 60) -> None:
    """Return when a condition holds; fail when it does not hold within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {timeout} s"
        time.sleep(0.02)


def folder_size(folder: Path) -> int:
    """Return the bytes below a folder; files may come and go meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
