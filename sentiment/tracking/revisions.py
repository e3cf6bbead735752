"""Files as they are in the workspace, or were in a commit, branch, tag or experiment."""

from functools import cached_property
from pathlib import Path
from typing import Any

from sentiment.common.errors import InputError

WORKSPACE = "workspace"  # DVC's own name for what lies in the folder now


class Revision:
    """One state of the project, by the name that a person gave; "workspace" is the folder as it is."""

    def __init__(self, name: str, root: Path = Path()) -> None:
        self.name = name
        self._root = root

    def read(self, path: str) -> bytes:
        """Return the content of a file that git or DVC tracks, DVC's from the cache or else the remote.

        Raises:
            InputError: there is no such revision, or it has no such file, or its content is nowhere to be had.
        """
        if self.name == WORKSPACE:
            if not (self._root / path).is_file():
                raise InputError(f"{path}: not in the workspace; run `dvc repro`, or `dvc pull`")
            return (self._root / path).read_bytes()
        from botocore.exceptions import BotoCoreError, ClientError  # an S3 remote's own errors, which DVC passes on
        from dvc.exceptions import DvcException
        from dvc.scm import SCMError

        try:
            content = self._files.read_bytes(path)
            assert isinstance(content, bytes)
            return content
        except SCMError:
            raise InputError(f"{self.name}: no such commit, branch, tag or experiment (`dvc exp list -A`)") from None
        except (DvcException, OSError, BotoCoreError, ClientError) as error:
            advice = f"run `dvc fetch --all-commits`, or `dvc repro` at {self.name}"
            raise InputError(f"{path}: not to be had for {self.name} ({_reason(error)}); {advice}") from None

    @cached_property
    def _files(self) -> Any:
        from dvc.api import DVCFileSystem  # 1.3 s, and not needed for the workspace

        return DVCFileSystem(str(self._root.resolve()), rev=self.name)


def _reason(error: BaseException) -> str:
    """Return the innermost message in one line; DVC's outer ones only say that something failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__
