"""Moto's server in place of SageMaker, as a process; real AWS is not reached."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tests.remote.test_ssh import answers
from tests.s3_server import REGION, free_port, wait_for

ROLE = "arn:aws:iam::123456789012:role/sagemaker"


@contextmanager
def running_moto(log: Path) -> Iterator[str]:
    """Yield the URL of a server that answers as SageMaker."""
    port = free_port()
    with log.open("w") as stream:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        wait_for(lambda: answers(port), 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def moto_client(url: str) -> Any:
    """Return a client that asks the server what it was sent."""
    return boto3.client(
        "sagemaker", endpoint_url=url, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
    )
