"""The access keys that the local S3 server accepts: random, created once, kept beside its data and never in git."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sentiment.common.errors import ParamsError
from storage.private_files import write_private

# bytes of randomness: 48 bits tell key ids apart, 160 bits of secret are as many as AWS uses
ID_BYTES, SECRET_BYTES = 6, 20


@dataclass(frozen=True)
class AccessKey:
    """An access key id and its secret; the secret stays out of its repr."""

    access_key_id: str
    secret_access_key: str

    @classmethod
    def generate(cls, name: str) -> Self:
        """Return a new random key whose access key id starts with `name`."""
        return cls(f"{name}-{secrets.token_hex(ID_BYTES)}", secrets.token_hex(SECRET_BYTES))

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key_id})"


@dataclass(frozen=True)
class Credentials:
    """The two access keys of the local server.

    Attributes:
        developer: may do everything; `make s3` gives this key to DVC.
        reader: may read and list; for colleagues who pull and do not push.
    """

    developer: AccessKey
    reader: AccessKey

    @classmethod
    def load_or_create(cls, path: Path, public_bucket: str) -> Self:
        """Read the server's credentials file, or write one with new keys.

        Args:
            path: the file, in the format of SeaweedFS's `-s3.config`; only its owner may read it.
            public_bucket: the bucket that may be read without keys.

        Raises:
            ParamsError: the file is damaged.
        """
        if not path.exists():
            credentials = cls(AccessKey.generate("developer"), AccessKey.generate("reader"))
            write_private(path, json.dumps(credentials._seaweedfs_config(public_bucket), indent=2) + "\n")
            return credentials
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the server's credentials file.

        Raises:
            ParamsError: the file is damaged.
            OSError: the file cannot be read.
        """
        try:
            identities = json.loads(path.read_text(encoding="utf-8"))["identities"]
            by_name = {identity["name"]: identity for identity in identities}
            keys = [by_name[name]["credentials"][0] for name in ("developer", "reader")]
            return cls(*(AccessKey(key["accessKey"], key["secretKey"]) for key in keys))
        except (ValueError, KeyError, IndexError, TypeError):
            raise ParamsError(f"{path} is damaged; delete it, and the next `make s3` creates new keys") from None

    def _seaweedfs_config(self, public_bucket: str) -> dict[str, object]:
        """Return the content of `-s3.config`."""

        def identity(name: str, key: AccessKey, *actions: str) -> dict[str, object]:
            pair = {"accessKey": key.access_key_id, "secretKey": key.secret_access_key}
            return {"name": name, "credentials": [pair], "actions": list(actions)}

        public = {"name": "anonymous", "actions": [f"Read:{public_bucket}", f"List:{public_bucket}"]}
        return {
            "identities": [
                identity("developer", self.developer, "Admin", "Read", "Write", "List", "Tagging"),
                identity("reader", self.reader, "Read", "List"),
                public,
            ]
        }
