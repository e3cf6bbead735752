"""Waits until the local S3 server gives out what it holds, and creates buckets."""

import subprocess
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from storage.boto_errors import explain
from storage.process import ServerError

READY_TIMEOUT = 60.0  # seconds; a start takes 3 to 6 on an idle machine, and several times that on a busy one
POLL_INTERVAL = 0.2  # seconds


def wait_until_ready(
    client: Any, process: subprocess.Popen[bytes] | None, server_log: Path, timeout: float = READY_TIMEOUT
) -> None:
    """Return when the server answers; raise ServerError when it exits or does not answer within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            _read_each_bucket(client)
        except (BotoCoreError, ClientError) as error:
            if process and process.poll() is not None:
                lines = server_log.read_text(errors="replace").strip().splitlines() or ["no output"]
                raise ServerError(f"the server exited at once: {lines[-1].strip()} (full log: {server_log})") from None
            if time.monotonic() > deadline:
                raise ServerError(
                    f"the server does not answer: {explain(error)}; `make s3-stop`, then `make s3`"
                ) from None
            time.sleep(POLL_INTERVAL)
        else:
            return


def _read_each_bucket(client: Any) -> None:
    """Read from a first object: for seconds after a restart the server may list objects and not find their bytes."""
    for bucket in client.list_buckets()["Buckets"]:
        for entry in client.list_objects_v2(Bucket=bucket["Name"], MaxKeys=1).get("Contents", []):
            with client.get_object(Bucket=bucket["Name"], Key=entry["Key"])["Body"] as body:
                body.read(1)


def make_bucket(client: Any, bucket: str) -> None:
    """Create a bucket unless it exists."""
    if bucket not in [entry["Name"] for entry in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=bucket)
