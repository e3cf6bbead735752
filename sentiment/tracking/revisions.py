"""Files as they are in the workspace, or were in a commit, branch, tag or experiment; the workspace is not changed.

Revision("v1.0").read("metrics/evaluate.json")
fetch_classifier("v1.0", Path("models/classifier"), Path("/tmp/there"))
"""

from functools import cached_property
from pathlib import Path
from typing import Any

from sentiment.common.errors import InputError, one_line
from sentiment.head.classifier import ENCODER, Classifier

WORKSPACE = "workspace"  # DVC's name for the files in the folder as they are now


class Revision:
    """One state of the project, by any name that git or DVC knows; "workspace" is the folder as it is."""

    def __init__(self, name: str, root: Path = Path()) -> None:
        self.name = name
        self._root = root

    def read(self, path: str) -> bytes:
        """Return the content of a file that git or DVC tracks, from the DVC cache or else the remote.

        Raises:
            InputError: no such revision, no such file in it, or its content is not available.
        """
        if self.name == WORKSPACE:
            if not (self._root / path).is_file():
                raise InputError(f"{path}: not in the workspace; run `dvc repro`, or `dvc pull`")
            return (self._root / path).read_bytes()
        content = self._call("read_bytes", path)
        assert isinstance(content, bytes)
        return content

    def fetch(self, path: Path, to: Path) -> Path:
        """Copy a file or folder below `to`; return the copy's path. Raises InputError as `read` does."""
        self._call("get", path.as_posix(), (to / path).as_posix(), recursive=True)
        return to / path

    def has_folder(self, path: Path) -> bool:
        """Return whether git or DVC tracks such a folder."""
        return bool(self._call("isdir", path.as_posix()))

    def _call(self, method: str, path: str, *arguments: str, **options: bool) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError  # raised by an S3 remote, passed on by DVC
        from dvc.exceptions import DvcException
        from dvc.scm import SCMError
        from dvc_data.index import DataIndexError

        try:
            return getattr(self._files, method)(path, *arguments, **options)
        except SCMError:
            raise InputError(f"{self.name}: no such commit, branch, tag or experiment (`dvc exp list -A`)") from None
        except (DvcException, DataIndexError, OSError, BotoCoreError, ClientError) as error:
            raise InputError(f"{path}: not available for {self.name} ({_reason(error)}); {self._advice()}") from None

    def _advice(self) -> str:
        """Return what makes an output of this revision available; `dvc pull` and `dvc fetch` just failed to."""
        push = f"run `dvc push` where {self.name} was run"
        if self.name == "HEAD":
            return f"commit the dvc.lock that `dvc repro` wrote here (`git commit -a`), or {push}"
        return f"{push}, or `git checkout {self.name}`, `dvc repro` and `git commit -a` here"

    @cached_property
    def _files(self) -> Any:
        from dvc.api import DVCFileSystem  # 1.3 s, and not needed for the workspace

        return DVCFileSystem(str(self._root.resolve()), rev=self.name)


def _reason(error: BaseException) -> str:
    """Return the innermost message as one line; the outer ones of DVC only say that something failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error)


def fetch_classifier(rev: str, classifier: Path, to: Path) -> Path:
    """Copy the classifier of revision `rev` below `to`, with its encoder; return the classifier's folder there.

    Args:
        rev: anything that git calls a revision, or the name of a DVC experiment.
        classifier: its path from the root of the repository.
        to: an empty folder.

    Raises:
        InputError: no such revision, or no classifier in it, or its files are not available.
        ClassifierError: the classifier is incomplete or damaged.
    """
    revision = Revision(rev)
    folder = revision.fetch(classifier, to)
    encoder = Path(Classifier.load(folder).config.features.config.encoder)
    if not (folder / ENCODER).is_dir() and not encoder.is_absolute() and revision.has_folder(encoder):
        revision.fetch(encoder, to)  # of a classifier that was trained before classifiers contained their encoder
    return folder
