"""The keys that the local S3 server knows: random, made once, kept beside its data and never in git."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sentiment.common.errors import ParamsError
from sentiment.common.files import write_text


@dataclass(frozen=True)
class Keys:
    """An access key; the secret stays out of its repr."""

    access_key_id: str
    secret_access_key: str

    @classmethod
    def generate(cls, name: str) -> Self:
        """Return fresh random keys whose access key id starts with `name`."""
        return cls(f"{name}-{secrets.token_hex(6)}", secrets.token_hex(20))

    def __repr__(self) -> str:
        return f"Keys({self.access_key_id})"


@dataclass(frozen=True)
class Identities:
    """Who may do what on the local server.

    Attributes:
        developer: may do everything; `make s3` gives these keys to DVC.
        reader: may read and list, to see what a colleague without write permission sees.
    """

    developer: Keys
    reader: Keys

    @classmethod
    def load_or_create(cls, path: Path, public_bucket: str) -> Self:
        """Read the server's identities file, or write one with new keys.

        Args:
            path: the file, in the format of SeaweedFS's `-s3.config`; only its owner may read it.
            public_bucket: the bucket that may be read without keys.

        Raises:
            ParamsError: the file is damaged.
        """
        if not path.exists():
            made = cls(Keys.generate("developer"), Keys.generate("reader"))
            previous = os.umask(0o077)
            try:
                write_text(path, json.dumps(made._as_seaweedfs(public_bucket), indent=2) + "\n")
            finally:
                os.umask(previous)
            return made
        try:
            found = {entry["name"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))["identities"]}
            pairs = {name: found[name]["credentials"][0] for name in ("developer", "reader")}
            return cls(*(Keys(pair["accessKey"], pair["secretKey"]) for pair in pairs.values()))
        except (ValueError, KeyError, IndexError, TypeError):
            raise ParamsError(f"{path} is damaged; delete it, and the next `make s3` makes new keys") from None

    def _as_seaweedfs(self, public_bucket: str) -> dict[str, object]:
        """Return the content of `-s3.config`."""

        def entry(name: str, keys: Keys, *actions: str) -> dict[str, object]:
            pair = {"accessKey": keys.access_key_id, "secretKey": keys.secret_access_key}
            return {"name": name, "credentials": [pair], "actions": list(actions)}

        public = {"name": "anonymous", "actions": [f"Read:{public_bucket}", f"List:{public_bucket}"]}
        return {
            "identities": [
                entry("developer", self.developer, "Admin", "Read", "Write", "List", "Tagging"),
                entry("reader", self.reader, "Read", "List"),
                public,
            ]
        }
