"""The name of a revision in, the subject of its commit out: words for people in the place of a hash.

commit_subject("9f63817")    "Serve at the speed of predict"
"""

import json
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from sentiment.common.errors import InputError, one_line
from sentiment.experiments.baseline import BASELINES, BASELINES_FOLDER, FILES

EXPERIMENT = "dvc: commit experiment "  # the subject that DVC gives to every experiment's commit; a hash follows


def commit_subject(name: str, root: Path = Path()) -> str:
    """Return the first line of the message of a commit, branch or tag.

    Empty where there are no words of a person: for the workspace, a baseline or an experiment.
    """
    command = ["git", "log", "-1", "--format=%s", "--end-of-options", name, "--"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    subject = done.stdout.strip() if done.returncode == 0 else ""
    return "" if subject.startswith(EXPERIMENT) else subject


def unseen_source(root: Path = Path()) -> str | None:
    """Return why queued and --temp experiments would lack `prepare.source`, as one line; None where they would not.

    DVC copies what is in git's index and what is tracked by a .dvc file there (DVC 3.67.1).
    """
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    source = str(params["prepare"]["source"])
    if _in_index(root, source) or _in_index(root, f"{source}.dvc"):
        return None
    seen_by = "queued and --temp experiments do not see it"
    if (root / f"{source}.dvc").is_file():
        return f"{source}.dvc is neither staged nor committed: {seen_by}; run git add {source}.dvc"
    return f"{source} is tracked neither by DVC nor by git: {seen_by}; run dvc add {source}, then git add {source}.dvc"


def _in_index(root: Path, path: str) -> bool:
    command = ["git", "ls-files", "--error-unmatch", "--", path]
    return subprocess.run(command, cwd=root, capture_output=True, timeout=60).returncode == 0


MAX_SECONDS = 600  # of a command that reads what git and the DVC cache hold


def dvc_json(*arguments: str) -> Any:
    """Run `dvc ARGUMENTS --json` and return its output; raises InputError with DVC's last line where it fails."""
    command = [sys.executable, "-m", "dvc", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=MAX_SECONDS)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(f"dvc {' '.join(arguments)}: {reason[-1].removeprefix('ERROR: ')}")
    return json.loads(done.stdout)


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
    return Revision(rev).fetch(classifier, to)


class BaselineRevision(Revision):
    """A baseline of the workspace, read as if it were a revision whose pipeline had made it."""

    def read(self, path: str) -> bytes:
        """Return the content of the baseline's file in the stead of the pipeline's.

        Raises:
            InputError: a baseline has no such file.
        """
        file = self._root / BASELINES_FOLDER / self.name / FILES.get(path, path)
        if not file.is_file():
            raise InputError(f"{path}: not available for baseline {self.name}; run `sentiment baseline`")
        return file.read_bytes()


def resolve(name: str, root: Path = Path()) -> Revision:
    """Return the baseline of this name, or else the revision: commit, branch, tag, experiment or workspace.

    Raises:
        InputError: git and the baselines both have this name, or it is that of a baseline that was not made yet.
    """
    if name not in BASELINES:
        return Revision(name, root)
    is_made, is_ref = (root / BASELINES_FOLDER / name / FILES["params.yaml"]).is_file(), _is_git_ref(name, root)
    if is_made and is_ref:
        raise InputError(
            f"{name} names a baseline ({BASELINES_FOLDER / name}) and a branch, tag or experiment; "
            f"give the commit of the latter, or delete {BASELINES_FOLDER / name}"
        )
    if not is_made and not is_ref:
        raise InputError(f"{BASELINES_FOLDER / name}: no such folder; run `sentiment baseline`")
    return BaselineRevision(name, root) if is_made else Revision(name, root)


def _is_git_ref(name: str, root: Path) -> bool:
    """Return whether git knows a commit by this name, or DVC an experiment."""
    verify = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    experiments = ["git", "for-each-ref", "--format=%(refname)", "refs/exps"]
    known, refs = (
        subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
        for command in (verify, experiments)
    )
    return known.returncode == 0 or any(ref.endswith(f"/{name}") for ref in refs.stdout.split())
