"""A name that a person types in; the revision or the baseline that it means out.

resolve("main").read("data/evaluate/predictions.parquet")
resolve("tfidf").read("data/evaluate/predictions.parquet")     data/baseline/tfidf/predictions.parquet
"""

import subprocess
from pathlib import Path

from sentiment.baseline.folder import BASELINES, BASELINES_FOLDER, FILES
from sentiment.common.errors import InputError
from sentiment.tracking.revisions import Revision


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
