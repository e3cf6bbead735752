"""Read files of the project as they are in a commit, branch, tag, experiment or baseline, or in the workspace.

resolve("main").read("metrics/val.json")
resolve("tfidf").read("data/evaluate/test.parquet")
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from sentiment.common.errors import InputError, one_line
from sentiment.common.files import scratch_folder
from sentiment.common.params import read_yaml
from sentiment.common.tables import TEST, VAL

# what the stages write and commands read; dvc.yaml gives the paths to the stages
PARAMS = "params.yaml"
SPLIT = Path("data/split")
CLASSIFIER = Path("models/classifier")
PREDICTIONS = {VAL: "data/evaluate/val.parquet", TEST: "data/evaluate/test.parquet"}
ALL_METRICS = "data/evaluate/metrics.json"  # of both splits
METRICS = {VAL: "metrics/val.json", TEST: "metrics/test.json"}
SLICES = {VAL: "metrics/slices.csv", TEST: "metrics/test/slices.csv"}
PLOTS = [
    {VAL: f"metrics/plots/{name}.csv", TEST: f"metrics/test/plots/{name}.csv"}
    for name in ("confusion", "roc", "precision_recall", "calibration", "coverage")
]
BEHAVIOR = "data/check/behavior.json"
SPLIT_METRICS = "metrics/split.json"
HEAD_METRICS = "metrics/train/metrics.json"
ENCODER_METRICS = "metrics/finetune/metrics.json"

STAGED = re.compile(r"(?P<artifact>[\w/-]+)@(?P<stage>[a-z][\w-]*)")  # of DVC's model registry, as gto names it
EXPERIMENT = "dvc: commit experiment "  # the subject that DVC gives to every experiment's commit; a hash follows
WORKSPACE = "workspace"  # DVC's name for the files in the folder as they are now
SCRATCH = "sentiment-classifier"  # name of the folder to which a revision's classifier is copied
MAX_SECONDS = 600  # of a command that reads what git and the DVC cache hold

BASELINES_FOLDER = Path("data/baseline")
TFIDF, TFIDF_FEATURES, STATIC, MODEL2VEC, MAJORITY = "tfidf", "tfidf-features", "static", "model2vec", "majority"
BASELINES = {  # name: what it is
    TFIDF: "TF-IDF, logistic regression",
    TFIDF_FEATURES: "TF-IDF and features side by side, logistic regression",
    STATIC: "mean of word vectors by latent semantic analysis, logistic regression",
    MODEL2VEC: "mean of a model2vec's token vectors, logistic regression",
    MAJORITY: "the majority class",
}
BASELINE_FILES = {  # what the pipeline calls a file: its name in the folder of a baseline
    PREDICTIONS[VAL]: "val.parquet",
    PREDICTIONS[TEST]: "test.parquet",
    ALL_METRICS: "metrics.json",
    SLICES[VAL]: "val_slices.csv",
    SLICES[TEST]: "test_slices.csv",
    SPLIT_METRICS: "split.json",
    PARAMS: "params.yaml",
}
BEFORE_VAL = {  # what is of test now: what it was called in commits whose `evaluate` scored test alone
    PREDICTIONS[TEST]: "data/evaluate/predictions.parquet",
    METRICS[TEST]: "metrics/evaluate.json",
    **{paths[TEST]: paths[VAL] for paths in (SLICES, *PLOTS)},
}


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

    def read_scored(self, paths: Mapping[str, str], split: str) -> bytes:
        """Return the content of a file that `evaluate` writes of val and of test.

        Args:
            paths: of the file, by split.
            split: "val" or "test".

        Raises:
            InputError: as `read` does, or the commit has no such file of val.
        """
        if not self._has_test_alone:
            return self.read(paths[split])
        if split != TEST:
            raise InputError(f"{self.name} has no val predictions, only those of test; use --split test")
        return self.read(BEFORE_VAL[paths[TEST]])

    @cached_property
    def _has_test_alone(self) -> bool:
        """Whether it is a commit whose `evaluate` scored test alone; in the workspace, the next run scores both."""
        return self.name != WORKSPACE and not self._has(METRICS[VAL]) and self._has(BEFORE_VAL[METRICS[TEST]])

    def _has(self, path: str) -> bool:
        with suppress(InputError):
            self.read(path)
            return True
        return False

    def fetch(self, path: Path, to: Path) -> Path:
        """Copy a file or folder below `to`; return the copy's path. Raises InputError as `read` does."""
        self._call("get", path.as_posix(), (to / path).as_posix(), recursive=True)
        return to / path

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

        # DVC takes "" for the workspace, and ends in a traceback where git names a file or a folder
        if not self.name or (_git(self._root, *VERIFY, self.name) and not _is_commit(self._root, self.name)):
            raise InputError(f"'{self.name}' does not name a commit; expected a commit, branch, tag or experiment")
        return DVCFileSystem(str(self._root.resolve()), rev=self._staged() or self.name)

    def exists(self) -> bool:
        """Return whether it is the workspace, or a commit by one of its names."""
        return self.name == WORKSPACE or _is_commit(self._root, self.name) or self._staged() is not None

    @property
    def commit(self) -> str | None:
        """The first digits of its commit, for the workspace of HEAD; None outside of git."""
        name = "HEAD" if self.name == WORKSPACE else self._staged() or self.name
        return _git(self._root, "rev-parse", "--short=12", *VERIFY[1:], f"{name}^{{commit}}") or None

    def _staged(self) -> str | None:
        """Return the commit of an artifact's version in a stage of DVC's model registry; None for another name."""
        if not (match := STAGED.fullmatch(self.name)) or _is_commit(self._root, self.name):
            return None
        from dvc.api import artifacts_show
        from dvc.exceptions import DvcException

        try:
            return str(artifacts_show(match["artifact"], stage=match["stage"], repo=str(self._root.resolve()))["rev"])
        except DvcException:
            return None


def is_of_pipeline(folder: Path) -> bool:
    """Return whether a classifier is that of the pipeline, of which metrics and card tell."""
    return folder.resolve() == CLASSIFIER.resolve()


def _reason(error: BaseException) -> str:
    """Return the innermost message as one line; the outer ones of DVC only say that something failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error)


class BaselineRevision(Revision):
    """A baseline of the workspace, read as if it were a revision whose pipeline had made it."""

    def read(self, path: str) -> bytes:
        """Return the content of the baseline's file in the stead of the pipeline's.

        Raises:
            InputError: a baseline has no such file.
        """
        file = self._root / BASELINES_FOLDER / self.name / BASELINE_FILES.get(path, path)
        if not file.is_file():
            raise InputError(f"{path}: not available for baseline {self.name}; run `sentiment baseline`")
        return file.read_bytes()


def resolve(name: str, root: Path = Path()) -> Revision:
    """Return the baseline of this name, or else the revision: commit, branch, tag, experiment or workspace.

    A branch that is called as a baseline is can be given as `heads/NAME`.
    """
    return (BaselineRevision if name in BASELINES else Revision)(name, root)


VERIFY = ("rev-parse", "--verify", "--quiet", "--end-of-options")


def _git(root: Path, *arguments: str) -> str:
    """Return what a git command prints, without the last line end; "" where it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=MAX_SECONDS)
    return done.stdout.strip() if done.returncode == 0 else ""


def _is_commit(root: Path, name: str) -> bool:
    return bool(_git(root, *VERIFY, f"{name}^{{commit}}"))


def experiment_refs(root: Path = Path()) -> dict[str, str]:
    """Return the commit of each experiment by git's name for it, refs/exps/AA/REST_OF_THE_BASE_COMMIT/NAME."""
    lines = _git(root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").splitlines()
    return {ref: commit for ref, commit in map(str.split, lines) if ref.count("/") > 3}


def commit_subject(name: str, root: Path = Path()) -> str:
    """Return the first line of the message of a commit, branch or tag.

    Empty where there are no words of a person: for the workspace, a baseline or an experiment.
    """
    subject = _git(root, "log", "-1", "--format=%s", "--end-of-options", name, "--")
    return "" if subject.startswith(EXPERIMENT) else subject


def workspace_title(root: Path = Path()) -> str:
    """Return what readers who do not know DVC call the workspace: its branch, and whether it has changes."""
    branch = _git(root, "branch", "--show-current") or _git(root, "rev-parse", "--short", "HEAD") or WORKSPACE
    return f"{branch}, changed" if _git(root, "status", "--porcelain", "--untracked-files=no") else branch


def unseen_source(root: Path = Path()) -> str | None:
    """Return why queued and --temp experiments would lack `prepare.source`, as one line; None where they would not.

    DVC copies what is in git's index and what is tracked by a .dvc file there (DVC 3.67.1).
    """
    source = Path(str(read_yaml((root / PARAMS).read_bytes(), PARAMS)["prepare"]["source"]))
    trackers = [f"{path}.dvc" for path in (source, *source.parents) if path.name]  # of the file, or of its folder
    if any(_git(root, "ls-files", "--error-unmatch", "--", path) for path in (str(source), *trackers)):
        return None
    seen_by = "queued and --temp experiments do not see it"
    if found := [path for path in trackers if (root / path).is_file()]:
        return f"{found[0]} is neither staged nor committed: {seen_by}; run git add {found[0]}"
    return f"{source} is tracked neither by DVC nor by git: {seen_by}; run dvc add {source}, then git add {source}.dvc"


def dvc_json(*arguments: str) -> Any:
    """Run `dvc ARGUMENTS --json` and return its output; raises InputError with DVC's last line where it fails."""
    command = [sys.executable, "-m", "dvc", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=MAX_SECONDS)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(f"dvc {' '.join(arguments)}: {reason[-1].removeprefix('ERROR: ')}")
    return json.loads(done.stdout)


@contextmanager
def classifier_folder(rev: str, classifier: Path) -> Iterator[Path]:
    """Yield the folder of a revision's classifier, which is there until the block ends; of "workspace" its own.

    Raises:
        InputError: as `Revision.fetch`.
    """
    if rev == WORKSPACE:
        yield classifier
    else:
        with scratch_folder(Path(tempfile.gettempdir()), SCRATCH) as to:
            yield Revision(rev).fetch(classifier, to)
