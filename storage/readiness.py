"""Waits until the local S3 server gives out what it holds, and creates buckets."""

import re
import subprocess
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sentiment.storage.errors import explain
from storage.process import ServerError

READY_TIMEOUT = 60.0  # seconds; a start takes 3 to 6 on an idle machine, and several times that on a busy one
POLL_INTERVAL = 0.2  # seconds
LOG_PREFIX = re.compile(r"[IWEF]\d{4} [\d:.]+ \S+:\d+\]? ")  # of glog: severity, date, time, line of source


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
                cause = cause_of_exit(server_log.read_text(errors="replace"))
                raise ServerError(f"the server exited at once: {cause} (full log: {server_log})") from None
            if time.monotonic() > deadline:
                raise ServerError(
                    f"the server does not answer: {explain(error)}; `make s3-stop`, then `make s3`"
                ) from None
            time.sleep(POLL_INTERVAL)
        else:
            return


def cause_of_exit(log: str) -> str:
    """Return the message that ends a server's log: the fatal one, which a stack trace follows, or the last line."""
    lines = log.strip().splitlines() or ["no output"]
    line = next((line for line in lines if line.startswith("F") and LOG_PREFIX.match(line)), lines[-1])
    return LOG_PREFIX.sub("", line).strip()


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
