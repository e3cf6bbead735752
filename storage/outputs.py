"""The outputs of dvc.lock, the stage that makes each, and the objects that hold them in the remote."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError

from sentiment.common.errors import InputError
from storage.remote import Remote


@dataclass(frozen=True)
class Output:
    """An output that a stage made.

    Attributes:
        stage: the stage's name.
        path: where it stands in the workspace.
        md5: its hash; ends in ".dir" for a folder, whose object lists the hashes of its files.
    """

    stage: str
    path: str
    md5: str


@dataclass(frozen=True)
class Fault:
    """An object that the remote lacks, or that holds other bytes than its name says."""

    output: Output
    url: str
    found: str

    def __str__(self) -> str:
        return f"{self.output.path} (stage {self.output.stage}): {self.url} {self.found}"


def read_outputs(lock: Path) -> list[Output]:
    """Return the outputs that dvc.lock knows by hash.

    Raises:
        InputError: there is no dvc.lock, or it is not readable.
    """
    if not lock.is_file():
        raise InputError(f"{lock}: no such file; nothing was run yet, `dvc repro`")
    try:
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
        return [
            Output(stage, out["path"], out["md5"])
            for stage, entry in stages.items()
            for out in entry.get("outs", [])
            if "md5" in out
        ]
    except (yaml.YAMLError, KeyError, TypeError):
        raise InputError(f"{lock}: not readable; `git checkout {lock}`") from None


def faults(remote: Remote, client: Any, output: Output) -> Iterator[Fault]:
    """Read every object of an output from the remote and yield those that are missing or wrong.

    Memory holds one folder's list of files and one chunk of one file.
    """
    content = _object_md5(remote, client, output.md5)
    yield from _judge(remote, output, output.md5, content)
    if output.md5.endswith(".dir") and content == output.md5.removesuffix(".dir"):
        key = _key(remote, output.md5)
        listed = json.loads(client.get_object(Bucket=remote.bucket, Key=key)["Body"].read())
        for entry in listed:
            part = Output(output.stage, f"{output.path}/{entry['relpath']}", entry["md5"])
            yield from _judge(remote, part, part.md5, _object_md5(remote, client, part.md5))


def _judge(remote: Remote, output: Output, name: str, content: str | None) -> Iterator[Fault]:
    """Yield a fault when an object's content does not bear out its name."""
    url = f"s3://{remote.bucket}/{_key(remote, name)}"
    if content is None:
        yield Fault(output, url, "is missing")
    elif content != name.removesuffix(".dir"):
        yield Fault(output, url, "holds other bytes")


def _key(remote: Remote, md5: str) -> str:
    """Return the key under which DVC 3 stores a hash."""
    return remote.key("files", "md5", md5[:2], md5[2:])


def _object_md5(remote: Remote, client: Any, md5: str) -> str | None:
    """Return the MD5 of an object's bytes, or None where there is no object."""
    try:
        body = client.get_object(Bucket=remote.bucket, Key=_key(remote, md5))["Body"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    digest = hashlib.md5(usedforsecurity=False)  # the hash that DVC names objects by
    for chunk in body.iter_chunks(1024**2):
        digest.update(chunk)
    return digest.hexdigest()
