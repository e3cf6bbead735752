"""The S3 remotes as DVC's own settings describe them, and a boto3 client that signs in as DVC does."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import boto3
from botocore import UNSIGNED
from botocore.config import Config as BotoConfig
from dvc.config import Config as DvcConfig
from dvc.config import ConfigError

from sentiment.common.errors import ParamsError

DVC_FOLDER = Path(".dvc")
STORAGE = "storage"
REVIEWS_SOURCE = "reviews-source"


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
        try:
            remotes = DvcConfig(str(DVC_FOLDER))["remote"]
        except ConfigError as error:
            raise ParamsError(f".dvc/config: {' '.join(str(error).split())}") from None
        url = str(remotes.get(name, {}).get("url", ""))
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not url.startswith("s3://") or not bucket:
            raise ParamsError(
                f"DVC remote '{name}' is '{url}', expected s3://BUCKET/PREFIX; "
                f"`dvc remote modify {name} url s3://BUCKET/PREFIX`"
            )
        return cls(name, bucket, prefix.strip("/"), dict(remotes[name]))

    @property
    def url(self) -> str:
        """Return bucket and prefix as one URL."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def endpoint(self) -> str:
        """Return the server's URL, or the words for AWS itself."""
        return str(self.settings.get("endpointurl") or "AWS")

    def key(self, *parts: str) -> str:
        """Return the key of an object below the prefix."""
        return "/".join(filter(None, [self.prefix, *parts]))

    def session(self) -> boto3.Session:
        """Return a boto3 session with this remote's keys or profile, or else the usual AWS chain.

        Raises:
            botocore.exceptions.ProfileNotFound: the remote names a profile that this machine has not.
        """
        return boto3.Session(
            aws_access_key_id=self.settings.get("access_key_id"),
            aws_secret_access_key=self.settings.get("secret_access_key"),
            aws_session_token=self.settings.get("session_token"),
            profile_name=self.settings.get("profile"),
            region_name=self.settings.get("region"),
        )

    def client(self) -> Any:
        """Return an S3 client that gives up in seconds, so that a check does not hang."""
        anonymous = {"signature_version": UNSIGNED} if self.settings.get("allow_anonymous_login") else {}
        return self.session().client(
            "s3",
            endpoint_url=self.settings.get("endpointurl"),
            use_ssl=self.settings.get("use_ssl", True),
            verify=self.settings.get("ssl_verify"),
            config=BotoConfig(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 2}, **anonymous),
        )


def write_local_settings(settings: dict[str, dict[str, str]]) -> Path:
    """Merge settings by remote into `.dvc/config.local`, readable by its owner alone; return that file."""
    path = DVC_FOLDER / "config.local"
    path.touch(mode=0o600)
    path.chmod(0o600)
    with DvcConfig(str(DVC_FOLDER)).edit("local") as local:
        for name, values in settings.items():
            local.setdefault("remote", {}).setdefault(name, {}).update(values)
    return path
