"""A folder, prefix, glob or file name in; the inputs below it, each with its path relative to that folder, out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sentiment.batch.storage import S3, FileInfo, Storage
from sentiment.common.errors import InputError
from sentiment.inference.formats import suffix

FORMATS = (".parquet", ".csv", ".tsv", ".jsonl")  # all but Parquet also with .gz
HIDDEN = ("_", ".")  # first characters of names that are no inputs, as Hadoop, Spark and Arrow have it
WILDCARDS = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Inputs:
    """Which files are the inputs.

    Attributes:
        folder: what their relative paths start from.
        pattern: what a relative path must match, or None for every file of a known format.
    """

    folder: str
    pattern: re.Pattern[str] | None = None

    @classmethod
    def parse(cls, argument: str) -> "Inputs":
        """Read a folder, `s3://bucket/prefix`, a file, or a glob: `*` in a name, `**` over folders, `?`, `[ab]`."""
        if not (wildcard := WILDCARDS.search(argument.removeprefix(S3))):
            return cls(argument.rstrip("/") or "/")
        position = wildcard.start() + (len(S3) if argument.startswith(S3) else 0)
        folder, _, _ = argument[:position].rpartition("/")
        pattern = argument[len(folder) + 1 :] if folder else argument.removeprefix("/")
        return cls(folder or ("/" if argument.startswith("/") else "."), translate(pattern))

    def list(self, storage: Storage) -> Iterator[tuple[str, FileInfo]]:
        """Yield (relative path, file) of each input.

        Raises:
            InputError: a single file has another format.
        """
        for file in storage.files(self.folder):
            if file.name == self.folder:  # a single file
                path = file.name.rpartition("/")[2]
                if not is_supported(path):
                    raise InputError(f"{file.name}: format is not supported; expected {', '.join(FORMATS)} or a folder")
                yield path, file
                continue
            path = file.name[len(self.folder.rstrip("/")) + 1 :]
            if not any(name.startswith(HIDDEN) for name in path.split("/")) and self._is_input(path):
                yield path, file

    def _is_input(self, path: str) -> bool:
        return is_supported(path) and (self.pattern is None or bool(self.pattern.fullmatch(path)))


def is_supported(path: str) -> bool:
    """Return whether the name's ending is that of a known format."""
    return suffix(path) in FORMATS and not path.lower().endswith(".parquet.gz")


def translate(pattern: str) -> re.Pattern[str]:
    """Return a glob as a regular expression; `glob.translate` does this from Python 3.13 on."""
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^]]+\])", pattern)
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}

    def regex(token: str) -> str:
        if token.startswith("[") and token.endswith("]"):
            return token.replace("[!", "[^", 1)
        return special.get(token) or re.escape(token)

    return re.compile("".join(map(regex, tokens)), re.DOTALL)
