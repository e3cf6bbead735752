"""Find the outputs of dvc.lock in cache and remote, and the objects that are missing or damaged."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError
from dvc.config import Config as DvcConfig

from sentiment.common.errors import InputError
from sentiment.storage.s3 import DVC_FOLDER, Remote

READ_SIZE = 1024**2  # bytes; memory stays small, and hashing is far slower than the calls


@dataclass(frozen=True)
class Output:
    """An output that a stage made.

    Attributes:
        stage: the stage's name.
        path: its path in the workspace.
        md5: its hash; ends in ".dir" for a folder, whose object lists the hashes of its files.
    """

    stage: str
    path: str
    md5: str


@dataclass(frozen=True)
class DamagedObject:
    """An object that the remote lacks, or whose bytes do not have the hash in its name."""

    output: Output
    url: str
    missing: bool

    def __str__(self) -> str:
        problem = "is missing" if self.missing else "holds other bytes"
        return f"{self.output.path} (stage {self.output.stage}): {self.url} {problem}"


def read_outputs(lock: Path) -> list[Output]:
    """Return the outputs whose hash dvc.lock records.

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


def dvc_cache() -> Path:
    """Return the folder of DVC's cache."""
    return Path(DvcConfig(str(DVC_FOLDER))["cache"].get("dir") or DVC_FOLDER / "cache")


def is_cached(cache: Path, md5: str) -> bool:
    """Return whether DVC's cache holds an output, a folder with all of its files."""
    file = cache / "files" / "md5" / md5[:2] / md5[2:]
    if not file.is_file():
        return False
    if not md5.endswith(".dir"):
        return True
    try:
        return all(is_cached(cache, entry["md5"]) for entry in json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError):  # a damaged list of files
        return False


def damaged_objects(remote: Remote, client: Any, output: Output) -> Iterator[DamagedObject]:
    """Read every object of an output from the remote and yield those that are missing or have other bytes.

    Memory holds one folder's list of files and `READ_SIZE` bytes of one file.
    """
    actual = _object_md5(remote, client, output.md5)
    yield from _compare(remote, output, actual)
    if output.md5.endswith(".dir") and actual == output.md5.removesuffix(".dir"):
        listing = client.get_object(Bucket=remote.bucket, Key=_key(remote, output.md5))["Body"].read()
        for entry in json.loads(listing):
            file = Output(output.stage, f"{output.path}/{entry['relpath']}", entry["md5"])
            yield from _compare(remote, file, _object_md5(remote, client, file.md5))


def _compare(remote: Remote, output: Output, actual: str | None) -> Iterator[DamagedObject]:
    """Yield a damaged object unless the hash of its bytes is the one in its name."""
    if actual != output.md5.removesuffix(".dir"):
        url = f"s3://{remote.bucket}/{_key(remote, output.md5)}"
        yield DamagedObject(output, url, missing=actual is None)


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
    for data in body.iter_chunks(READ_SIZE):
        digest.update(data)
    return digest.hexdigest()
