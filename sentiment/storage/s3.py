"""The S3 remotes of DVC's configuration, and boto3 clients that sign in as DVC does.

    client_for("my-bucket")                 a client for a bucket that a DVC remote names, else the usual AWS chain
    Remote.read("storage").client()         a client for one remote

This is the one module that resolves endpoint and credentials of S3; every command uses it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import boto3
from botocore import UNSIGNED
from botocore.config import Config as BotoConfig
from dvc.config import Config as DvcConfig
from dvc.config import ConfigError

from sentiment.common.errors import ParamsError, one_line

DVC_FOLDER = Path(".dvc")
STORAGE = "storage"
REVIEWS_SOURCE = "reviews-source"
# seconds; a server that is up answers a small request in milliseconds, and botocore's 60 s with 5 attempts look hung
CONNECT_TIMEOUT, READ_TIMEOUT, MAX_ATTEMPTS = 5, 30, 2


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
    def read(cls, name: str) -> Self:
        """Read remote `name` of the project in this folder.

        Raises:
            ParamsError: no DVC project here, no such remote, or not an `s3://` one.
        """
        if not DVC_FOLDER.is_dir():
            raise ParamsError(".dvc: no such folder; run from the root of the project")
        settings = _dvc_remotes().get(name, {})
        url = str(settings.get("url", ""))
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not url.startswith("s3://") or not bucket:
            raise ParamsError(
                f"DVC remote '{name}' is '{url}', expected s3://BUCKET/PREFIX; "
                f"`dvc remote modify {name} url s3://BUCKET/PREFIX`"
            )
        return cls(name, bucket, prefix.strip("/"), dict(settings))

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

    def session(self) -> boto3.Session:
        """Return a boto3 session with this remote's keys or profile, or else the usual AWS chain.

        Raises:
            botocore.exceptions.ProfileNotFound: this machine does not have the profile that the remote names.
        """
        return boto3.Session(
            aws_access_key_id=self.settings.get("access_key_id"),
            aws_secret_access_key=self.settings.get("secret_access_key"),
            aws_session_token=self.settings.get("session_token"),
            profile_name=self.settings.get("profile"),
            region_name=self.settings.get("region"),
        )

    def client(self) -> Any:
        """Return an S3 client that fails after seconds when the server does not answer."""
        anonymous = {"signature_version": UNSIGNED} if self.settings.get("allow_anonymous_login") else {}
        return self.session().client(
            "s3",
            endpoint_url=self.settings.get("endpointurl"),
            use_ssl=self.settings.get("use_ssl", True),
            verify=self.settings.get("ssl_verify"),
            config=_config(**anonymous),
        )


def client_for(bucket: str) -> Any:
    """Return an S3 client for a bucket.

    A bucket of a DVC remote is reached as DVC reaches it: with the endpoint and credentials in `.dvc/config` and
    `.dvc/config.local`, which `make s3` writes. The default remote is asked before the others. Any other bucket, and
    any bucket outside a DVC project, is reached by the usual AWS chain (`AWS_ENDPOINT_URL_S3` names another server).

    Raises:
        ParamsError: DVC's configuration is not readable.
    """
    for remote in s3_remotes():
        if remote.bucket == bucket:
            return remote.client()
    return boto3.Session().client("s3", config=_config())


def _config(**settings: Any) -> BotoConfig:
    return BotoConfig(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"total_max_attempts": MAX_ATTEMPTS},
        **settings,
    )


def s3_remotes() -> Iterator[Remote]:
    """Yield the `s3://` remotes of the project in this folder, the default one first; none outside a project."""
    if not DVC_FOLDER.is_dir():
        return
    remotes = _dvc_remotes()
    for name in sorted(remotes, key=lambda name: name != STORAGE):
        if str(remotes[name].get("url", "")).startswith("s3://"):
            yield Remote.read(name)


def _dvc_remotes() -> dict[str, dict[str, Any]]:
    """Return the settings of every remote by its name."""
    try:
        return dict(DvcConfig(str(DVC_FOLDER))["remote"])
    except ConfigError as error:
        raise ParamsError(f".dvc/config: {one_line(error)}") from None


def local_settings(name: str) -> dict[str, Any]:
    """Return what `.dvc/config.local` alone says about a remote."""
    return dict(DvcConfig(str(DVC_FOLDER)).read("local").get("remote", {}).get(name, {}))


def write_local_settings(settings: dict[str, dict[str, str]]) -> Path:
    """Merge settings by remote into `.dvc/config.local`, readable by its owner alone; return that file."""
    path = DVC_FOLDER / "config.local"
    path.touch(mode=0o600)
    path.chmod(0o600)
    with DvcConfig(str(DVC_FOLDER)).edit("local") as local:
        for name, values in settings.items():
            local.setdefault("remote", {}).setdefault(name, {}).update(values)
    return path
