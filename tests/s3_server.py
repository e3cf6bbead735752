"""A local S3 server as the tests use it, and what they need to watch it."""

import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore import UNSIGNED
from botocore.config import Config
from dvc.config import Config as DvcConfig

from storage.identities import Identities, Keys
from storage.process import ServerError, check_ports, find
from tests.conftest import Project

BUCKET = "sentiment-dvc"
PUBLIC = "dlai-practical-data-science"


@dataclass
class Server:
    """A local S3 server started as people start it, from a project of its own."""

    project: Project
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def identities(self) -> Identities:
        return Identities.load_or_create(self.project.root / ".s3" / "identities.json", PUBLIC)

    @property
    def process(self) -> psutil.Process | None:
        return find(self.project.root / ".s3" / "data")

    def call(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.project.run("python", "-m", "storage.server", *words, check=check)

    def start(self) -> subprocess.CompletedProcess[str]:
        return self.call("start", "--port", str(self.port))

    def kill(self) -> None:
        """End it as a power cut would."""
        process = self.process
        assert process
        process.kill()
        process.wait(10)

    def client(self, keys: Keys | None = None) -> Any:
        keys = keys or self.identities.developer
        return self._client(
            aws_access_key_id=keys.access_key_id, aws_secret_access_key=keys.secret_access_key, region_name="us-east-1"
        )

    def stranger(self) -> Any:
        return self._client(config=Config(signature_version=UNSIGNED), region_name="us-east-1")

    def _client(self, **how: Any) -> Any:
        return boto3.client("s3", endpoint_url=self.endpoint, **how)

    def connect(self, project: Project, prefix: str, **settings: str) -> None:
        """Point a project's DVC at this server, below a prefix of its own; a setting of "" is left out."""
        keys = self.identities.developer
        own = {
            "url": f"s3://{BUCKET}/{prefix}",
            "endpointurl": self.endpoint,
            "region": "us-east-1",
            "access_key_id": keys.access_key_id,
            "secret_access_key": keys.secret_access_key,
        } | settings
        with DvcConfig(str(project.root / ".dvc")).edit("local") as local:
            local["remote"] = {"storage": {name: value for name, value in own.items() if value}}

    def keys_below(self, prefix: str) -> set[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def copy(self, source: str, prefix: str) -> None:
        """Copy every object below one prefix to another, inside the server."""
        for key in self.keys_below(source):
            target = prefix + key.removeprefix(source)
            self.client().copy_object(Bucket=BUCKET, Key=target, CopySource={"Bucket": BUCKET, "Key": key})


def free_port() -> int:
    """Return a port that, with its neighbours and their twins, is free."""
    while True:
        port = random.randrange(20_000, 40_000)
        try:
            check_ports(port)
        except ServerError:
            continue
        return port


def begin(project: Project, *command: str) -> "subprocess.Popen[str]":
    """Start a command in a project and do not wait for it."""
    return subprocess.Popen(
        command,
        cwd=project.root,
        env=project.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return when a condition holds; fail when it does not hold in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def size_of(folder: Path) -> int:
    """Return the bytes below a folder; files may come and go meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
