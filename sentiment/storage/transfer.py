"""Push the outputs of the pipeline and of its earlier runs, pull them, and say why that fails.

DVC 3.67 pushes the run cache, which names the outputs of earlier runs by hash, but of the outputs themselves only those
of the current settings, and never metrics that git keeps (`cache: false`). Without them a fresh clone trains again.

DVC hashes what it pulls (`verify true`), drops wrong bytes and names the output that is missing; it does not say why,
nor which stage makes the output. `pull` asks the remote about exactly the outputs that DVC's cache lacks.

`remote_checks` sign in as DVC does, and list, write, read back and delete one small object. Each ends in a line: ok, a
note, or FAIL with what is broken and what to do. A line shows the access key id and never a secret.
"""

import hashlib
import json
import logging
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from sentiment.common.errors import InputError, PipelineError, StorageError
from sentiment.storage.errors import explain
from sentiment.storage.s3 import S3, Remote, dvc_cache, split

log = logging.getLogger(__name__)


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


def push(remote: Remote, jobs: int | None) -> int:
    """Push the current outputs and the run cache, then what earlier runs made; return the exit status.

    Where `dvc push` fails, the check of the remote that fails names the cause.
    """
    if status := _dvc(["push", "--run-cache"], remote, jobs):
        for result in remote_checks(remote):
            if result.status == "FAIL" or (result.check, result.status) == ("write", "note"):
                log.error("push: %s at %s: %s", remote.url, remote.endpoint, result.text)
        return status
    pushed, failed = push_runs(remote, jobs)
    log.info("push: %d objects of earlier runs pushed, %d failed", pushed, failed)
    return min(failed, 1)


def push_runs(remote: Remote, jobs: int | None) -> tuple[int, int]:
    """Push the outputs of earlier runs in this cache; return how many objects were pushed and how many failed."""
    from dvc.repo import Repo  # takes seconds to import

    pushed = failed = 0
    with Repo() as repo:
        files = Path(repo.cache.legacy.path).glob("runs/*/*/*")  # runs/KK/KEY/VALUE
        runs = sorted((path.parent.name, path.name) for path in files if path.is_file())
        for objects in repo.stage_cache.get_used_objs(runs).values():
            result = repo.cloud.push(objects, jobs=jobs, remote=remote.name)
            pushed, failed = pushed + len(result.transferred), failed + len(result.failed)
    return pushed, failed


def pull(remote: Remote, jobs: int | None) -> int:
    """Run `dvc pull`; where it fails, log the causes, at least one line. Returns the exit status of DVC."""
    status = _dvc(["pull"], remote, jobs)
    if not status:
        return 0
    n_damaged = 0
    try:
        client = remote.client()
        client.list_objects_v2(Bucket=remote.bucket, Prefix=remote.key(""), MaxKeys=1)
        for output in read_outputs(Path("dvc.lock")):
            if not is_cached(dvc_cache(), output.md5):
                for line in damaged_objects(remote, client, output):
                    n_damaged += 1
                    log.error("pull: %s", line)
    except (BotoCoreError, ClientError) as error:
        log.error("pull: %s at %s: %s", remote.url, remote.endpoint, explain(error))
        return status
    if not n_damaged:
        log.error("pull: %s holds every output of dvc.lock; DVC's message above names the cause", remote.url)
    return status


def _dvc(command: list[str], remote: Remote, jobs: int | None) -> int:
    """Run a command of DVC that transfers outputs, and return its exit status."""
    options = ["--remote", remote.name, *([] if jobs is None else ["--jobs", str(jobs)])]
    return subprocess.run([sys.executable, "-m", "dvc", *command, *options]).returncode


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


def is_cached(cache: Path, md5: str) -> bool:
    """Return whether DVC's cache holds an output, a folder with all of its files."""
    file = cache / "files" / "md5" / md5[:2] / md5[2:]
    if not md5.endswith(".dir") or not file.is_file():
        return file.is_file()
    try:
        return all(is_cached(cache, entry["md5"]) for entry in json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError):  # a damaged list of files
        return False


def damaged_objects(remote: Remote, client: Any, output: Output) -> Iterator[str]:
    """Read every object of an output, and yield a line for each that is missing or has other bytes: how to repair it.

    DVC never overwrites an object, and takes the files of a folder for present where the list of them is. So wrong
    bytes are deleted first, and with a file of a folder the folder's list.
    """

    def url_of(md5: str) -> str:
        return f"{S3}{remote.bucket}/{remote.key('files', 'md5', md5[:2], md5[2:])}"  # as DVC 3 names it

    objects = [(output.path, output.md5)]
    for path, md5 in objects:
        url = url_of(md5)
        actual = _object_md5(client, url)
        if actual != md5.removesuffix(".dir"):
            problem = "is missing" if actual is None else "holds other bytes"
            deleted = [*([] if actual is None else [url]), *([] if md5 == output.md5 else [url_of(output.md5)])]
            repair = ", ".join([*(f"`aws s3 rm {one}`" for one in deleted), f"`dvc repro {output.stage}`"])
            yield f"{path} (stage {output.stage}): {url} {problem}; {repair}, then `dvc push`"
        elif md5.endswith(".dir"):
            bucket, key = split(url)
            files = json.load(client.get_object(Bucket=bucket, Key=key)["Body"])
            objects += [(f"{path}/{file['relpath']}", file["md5"]) for file in files]


def _object_md5(client: Any, url: str) -> str | None:
    """Return the MD5 of an object's bytes, which are streamed, or None where there is no object."""
    bucket, key = split(url)
    try:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    return hashlib.file_digest(body, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()  # as DVC names objects


Status = Literal["ok", "note", "FAIL"]
Check = Callable[[], tuple[Status, str]]

PROBE = b"written by sentiment doctor\n"


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        status: "FAIL" when the pipeline cannot work like this, "note" when it can.
        check: the name of the check.
        text: what was found, and for a failure what to do.
    """

    status: Status
    check: str
    text: str

    def __str__(self) -> str:
        return f"{self.status:<4}  {self.check:<8}  {self.text}"


def remote_checks(remote: Remote) -> Iterator[CheckResult]:
    """Yield one result a check, up to the first failure, which the others would only repeat."""
    checks: dict[str, Check] = {
        "remote": lambda: ("ok", f"{remote.url} at {remote.endpoint}"),
        "identity": lambda: identity(remote),
        "bucket": lambda: bucket(remote),
        "write": lambda: write(remote),
    }
    for name, check in checks.items():
        try:
            status, text = check()
        except (BotoCoreError, ClientError, PipelineError, OSError) as error:
            yield CheckResult("FAIL", name, explain(error))
            return
        yield CheckResult(status, name, text)


def identity(remote: Remote) -> tuple[Status, str]:
    """Return the access key id, and where it came from; never the secret."""
    credentials = remote.session().get_credentials()
    if credentials is None:
        raise NoCredentialsError
    source = ".dvc/config.local" if "access_key_id" in remote.settings else credentials.method
    return "ok", f"access key id {credentials.access_key} ({source})"


def bucket(remote: Remote) -> tuple[Status, str]:
    """List one object below the prefix."""
    listing = remote.client().list_objects_v2(Bucket=remote.bucket, Prefix=remote.key(""), MaxKeys=1)
    return "ok", f"{remote.bucket} can be listed" + ("" if listing.get("KeyCount") else "; nothing was pushed yet")


def write(remote: Remote) -> tuple[Status, str]:
    """Write a small object, read it back and delete it; `dvc pull` needs no permission for any of them.

    Raises:
        StorageError: the store returns other bytes.
    """
    client, probe = remote.client(), {"Bucket": remote.bucket, "Key": remote.key(f".doctor-{secrets.token_hex(8)}")}
    try:
        client.put_object(**probe, Body=PROBE)
    except ClientError as error:
        if not is_forbidden(error):
            raise
        return "note", "not permitted: these keys can pull but not push (docs/s3.md has the policy for push)"
    if client.get_object(**probe)["Body"].read() != PROBE:
        raise StorageError(f"{probe['Key']} came back with other bytes; do not trust this storage")
    try:
        client.delete_object(**probe)
    except ClientError as error:
        if not is_forbidden(error):
            raise
        return "note", f"not permitted to delete, so {probe['Key']} stays; only `dvc gc --cloud` and repairs need it"
    return "ok", f"{len(PROBE)} bytes were written, read back and deleted"


def is_forbidden(error: ClientError) -> bool:
    """Return whether S3 refused for lack of permission."""
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 403)
