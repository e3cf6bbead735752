"""Reach S3 with the endpoint, region and keys of the DVC remotes, else those of the AWS chain.

    Objects().read("s3://bucket/key")       requests to any bucket: `predict` and `batch`
    Remote.read("storage").client()         a boto3 client for one remote: `doctor`, `push`, `pull`

This is the one module that resolves endpoint and credentials of S3, that repeats requests, and that turns errors of S3
into one line. A bucket of a DVC remote is reached as DVC reaches it: with the settings in `.dvc/config` and
`.dvc/config.local`, which `make s3` writes; of several remotes on one bucket the default one is used. Any other bucket,
and any bucket outside a DVC project, is reached by the AWS chain (`AWS_ENDPOINT_URL_S3` names another server).
"""

import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from http.client import IncompleteRead
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar

from sentiment.common.errors import ParamsError, StorageError, one_line

if TYPE_CHECKING:
    from s3fs import S3FileSystem

DVC_FOLDER = Path(".dvc")
STORAGE = "storage"
# seconds; a server that is up answers a small request in milliseconds, and botocore's 60 s with 5 attempts look hung
CONNECT_TIMEOUT, READ_TIMEOUT = 5, 30
REQUEST_SETTINGS: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "read_timeout": READ_TIMEOUT,
    "retries": {"total_max_attempts": 2},
}
RETRY_SECONDS = 10  # for which a request is repeated while the server is away, unless a command is more patient
FIRST_PAUSE, MAX_PAUSE = 0.5, 8.0  # seconds between attempts
BLOCK_SIZE = 8_388_608  # bytes of one request when an object is read; most inputs are one block
N_BLOCKS = 4  # of an object that are kept: a footer, or the columns of a row group
MAX_PUT_SIZE = 5 * 2**30  # bytes that S3 takes in one request
THROTTLED = {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout"}
MISSING = {"NoSuchKey", "404", "NotFound"}  # error codes

S3 = "s3://"
T = TypeVar("T")


class S3Error(StorageError):
    """A request that S3 refused or did not answer.

    Attributes:
        code: the error code of S3, such as "NoSuchKey"; "" where S3 did not answer, or not with more than "try later".
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Remote:
    """An `s3://` remote of `.dvc/config` and `.dvc/config.local`, merged as DVC merges them.

    Attributes:
        name: its name in DVC.
        bucket: the bucket.
        prefix: what every key starts with, without slashes at its ends; may be empty.
        settings: DVC's settings of this remote, such as `endpointurl` and `profile`; may hold a secret key.
    """

    name: str
    bucket: str
    prefix: str
    settings: dict[str, Any] = field(repr=False)

    @classmethod
    def read(cls, name: str | None = None) -> Self:
        """Read a remote of the project in this folder; without a name the default one, or the one named "storage".

        Raises:
            ParamsError: no DVC project here, no such remote, or not an `s3://` one.
        """
        if not DVC_FOLDER.is_dir():
            raise ParamsError(".dvc: no such folder; run from the root of the project")
        config = dvc_config()
        name = name or str(config["core"].get("remote") or STORAGE)
        settings = dict(config["remote"].get(name, {}))
        url = str(settings.get("url", ""))
        bucket, prefix = split(url)
        if not url.startswith(S3) or not bucket:
            raise ParamsError(
                f"DVC remote '{name}' is '{url}', expected s3://BUCKET/PREFIX; "
                f"`dvc remote modify {name} url s3://BUCKET/PREFIX`"
            )
        return cls(name, bucket, prefix.strip("/"), settings)

    @property
    def url(self) -> str:
        """Return bucket and prefix as one URL."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def endpoint(self) -> str:
        """Return the server's URL, or "AWS"."""
        return str(self.settings.get("endpointurl") or "AWS")

    def key(self, *names: str) -> str:
        """Return the key of an object below the prefix."""
        return "/".join(filter(None, [self.prefix, *names]))

    def client(self) -> Any:
        """Return a boto3 client with this remote's keys or profile, or else the AWS chain; it fails within seconds."""
        from botocore import UNSIGNED
        from botocore.config import Config

        anonymous = {"signature_version": UNSIGNED} if self.settings.get("allow_anonymous_login") else {}
        return self.session().client(
            "s3",
            endpoint_url=self.settings.get("endpointurl"),
            use_ssl=self.settings.get("use_ssl", True),
            verify=self.settings.get("ssl_verify"),
            config=Config(**REQUEST_SETTINGS, **anonymous),
        )

    def session(self) -> Any:
        """Return a boto3 session with this remote's keys or profile, or else the AWS chain.

        Raises:
            botocore.exceptions.ProfileNotFound: this machine does not have the profile that the remote names.
        """
        import boto3

        return boto3.Session(
            aws_access_key_id=self.settings.get("access_key_id"),
            aws_secret_access_key=self.settings.get("secret_access_key"),
            aws_session_token=self.settings.get("session_token"),
            profile_name=self.settings.get("profile"),
            region_name=self.settings.get("region"),
        )


@dataclass(frozen=True)
class FileInfo:
    """An object, or a file of a folder, as a list shows it.

    Attributes:
        name: its s3:// URL or path.
        size: in bytes.
        etag: changes when the content does.
    """

    name: str
    size: int
    etag: str


class Objects:
    """Requests for objects by their s3:// URL, each repeated while the server is away or asks for fewer requests.

    Args:
        retry_seconds: for how long.

    Every method raises S3Error, as one line that says what to do. No upload is a multipart upload: S3 shows an object
    complete or not at all, and a killed process leaves nothing.
    """

    def __init__(self, retry_seconds: float = RETRY_SECONDS) -> None:
        self._retry_seconds = retry_seconds

    def list(self, folder: str) -> Iterator[FileInfo]:
        """Yield the objects below `folder/` by key, or the object of this name."""
        found = self._call(folder, lambda files: files.find(folder.removeprefix(S3), detail=True))
        for name, info in found.items():
            yield FileInfo(f"{S3}{name}", info["size"], info["ETag"].strip('"'))

    def info(self, name: str) -> FileInfo:
        """Return size and ETag of an object."""

        def head(files: "S3FileSystem") -> dict[str, Any]:
            # HeadObject does not say what is wrong
            answer: dict[str, Any] = files.call_s3("get_object", **_address(name))
            files.loop.call_soon_threadsafe(answer["Body"].close)
            return answer

        found = self._call(name, head)
        return FileInfo(name, found["ContentLength"], found["ETag"].strip('"'))

    def open(self, info: FileInfo) -> IO[bytes]:
        """Open an object for reading and seeking; reading raises S3Error where it is no longer the same object."""
        from fsspec.spec import AbstractBufferedFile  # 1-2 s with s3fs, needed for s3:// only

        objects = self

        class Input(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
            def _fetch_range(self, start: int, end: int) -> bytes:
                return objects.read(info.name, Range=f"bytes={start}-{end - 1}", IfMatch=f'"{info.etag}"')

        cached = {"cache_type": "blockcache", "cache_options": {"maxblocks": N_BLOCKS}}
        file: IO[bytes] = Input(_filesystem(split(info.name)[0]), info.name, "rb", BLOCK_SIZE, size=info.size, **cached)
        return file

    def read(self, name: str, **request: str) -> bytes:
        """Return the content of an object; `request` are parameters of GetObject, such as Range and IfMatch."""
        from fsspec.asyn import sync

        def get(files: "S3FileSystem") -> bytes:
            # the body too is read here, so that a connection that breaks in the middle is repeated
            return bytes(sync(files.loop, files.call_s3("get_object", **_address(name), **request)["Body"].read))

        return self._call(name, get)

    def put(self, name: str, data: bytes) -> None:
        """Write an object by one request."""
        self._call(name, lambda files: files.call_s3("put_object", **_address(name), Body=data))

    def put_file(self, name: str, path: Path) -> None:
        """Write an object with the content of a local file, which is streamed, by one request."""
        if path.stat().st_size > MAX_PUT_SIZE:
            raise S3Error(f"{name}: more than 5 GiB, which S3 does not take in one piece; use `sentiment batch`")

        def put(files: "S3FileSystem") -> None:
            with path.open("rb") as file:
                files.call_s3("put_object", **_address(name), Body=file)

        self._call(name, put)

    def check_writable(self, name: str) -> None:
        """Raise S3Error where an object could not be written: an upload is begun and given up, so nothing is left."""
        upload = self._call(name, lambda files: files.call_s3("create_multipart_upload", **_address(name)))
        request = {**_address(name), "UploadId": upload["UploadId"]}
        self._call(name, lambda files: files.call_s3("abort_multipart_upload", **request))

    def delete(self, name: str) -> None:
        """Remove an object; S3 does not mind where it is not there."""
        self._call(name, lambda files: files.call_s3("delete_object", **_address(name)))

    def _call(self, name: str, request: "Callable[[S3FileSystem], T]") -> T:
        """Return the result of a request, repeated while it fails for a reason that passes."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as BotoConnectionError
        from s3fs.core import S3_RETRYABLE_ERRORS

        from sentiment.storage.errors import explain

        no_answer = (*S3_RETRYABLE_ERRORS, BotoConnectionError, HTTPClientError, IncompleteRead, ConnectionError)
        deadline, pause = time.monotonic() + self._retry_seconds, FIRST_PAUSE
        while True:
            try:
                return request(_filesystem(split(name)[0]))
            except (BotoCoreError, ClientError, OSError, *no_answer) as raised:
                # s3fs raises an OSError of its own for an answer of S3
                error = raised.__cause__ if isinstance(raised.__cause__, ClientError) else raised
            answer: dict[str, Any] = error.response if isinstance(error, ClientError) else {}
            code = answer.get("Error", {}).get("Code", "")
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if not (isinstance(error, no_answer) or status >= 500 or code in THROTTLED):
                raise S3Error(f"{name}: {explain(error)}", code)
            if time.monotonic() + pause > deadline:
                raise S3Error(f"{name}: {explain(error)}; gave up after {self._retry_seconds:.0f} s")
            time.sleep(pause)
            pause = min(MAX_PAUSE, pause * 2)


def split(name: str) -> tuple[str, str]:
    """Return bucket and key of an s3:// URL."""
    bucket, _, key = name.removeprefix(S3).partition("/")
    return bucket, key


def _address(name: str) -> dict[str, str]:
    bucket, key = split(name)
    if not bucket or not key:
        raise S3Error(f"{name}: names no object; expected s3://bucket/name")
    return {"Bucket": bucket, "Key": key}


@cache  # one per bucket and process: it may be shared by threads
def _filesystem(bucket: str) -> "S3FileSystem":
    """Return the s3fs file system that reaches a bucket.

    Raises:
        ParamsError: s3fs is not installed, or DVC's configuration is not readable.
    """
    try:
        from s3fs import S3FileSystem
    except ModuleNotFoundError:
        raise ParamsError(f"{S3}{bucket}: s3fs is not installed; pip install 'frozen-albert-sentiment[s3]'") from None
    logging.getLogger("fsspec").setLevel(logging.WARNING)  # it logs each block that it reads
    options = {**_options_of_dvc(bucket), "config_kwargs": REQUEST_SETTINGS, "skip_instance_cache": True}
    files = S3FileSystem(**options, use_listings_cache=False)
    files.retries = 1  # `Objects` repeats requests
    return files


def _options_of_dvc(bucket: str) -> dict[str, Any]:
    """Return what DVC passes to s3fs for the remote on a bucket, the default one first; {} for any other bucket."""
    if not DVC_FOLDER.is_dir() or not find_spec("dvc_s3"):
        return {}
    from dvc_s3 import S3FileSystem

    config = dvc_config()
    remotes, default = dict(config["remote"]), str(config["core"].get("remote") or STORAGE)
    for settings in (remotes.pop(default, {}), *remotes.values()):
        if str(settings.get("url", "")).startswith(S3) and split(settings["url"])[0] == bucket:
            return dict(S3FileSystem(**settings).fs_args)
    return {}


def dvc_config() -> Any:
    """Return the merged configuration of the DVC project in this folder.

    Raises:
        ParamsError: it is damaged, or the endpoint of a remote is no URL.
    """
    from dvc.config import Config, ConfigError  # 1 s

    try:
        config = Config(str(DVC_FOLDER))
    except ConfigError as error:
        raise ParamsError(f".dvc/config: {one_line(error)}") from None
    for name, settings in config["remote"].items():
        endpoint = settings.get("endpointurl")
        if endpoint and not re.match("https?://[^/]", endpoint):
            raise ParamsError(
                f"endpointurl of DVC remote '{name}' is '{endpoint}', expected http://HOST or https://HOST; "
                f"`dvc remote modify --local {name} endpointurl https://HOST`"
            )
    return config


def dvc_cache() -> Path:
    """Return the folder of DVC's cache."""
    return Path(dvc_config()["cache"].get("dir") or DVC_FOLDER / "cache")
