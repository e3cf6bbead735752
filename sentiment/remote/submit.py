"""Makes a job from the project in this folder: commit, arguments and inputs go into the storage remote.

    job = submit(["local"], [["-n", "slow", "--set-param=train.learning_rate=0.001"]])

Nothing of `.dvc/config.local` but addresses goes along; the job finds its credentials where it runs.
"""

import io
import json
import tempfile
import zipapp
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

import sentiment.remote.runner
from sentiment.common.errors import InputError, ParamsError
from sentiment.experiments.revisions import unseen_source
from sentiment.remote.git import git
from sentiment.remote.inputs import push_data
from sentiment.remote.job import S3_ERRORS, JobFolder, new_id, storage_error
from sentiment.remote.runner.layout import BUNDLE, EXPERIMENT_REF, HEARTBEAT_S, JOB, RUNNER
from sentiment.remote.runner.project import SETTINGS
from sentiment.storage.s3 import STORAGE, Remote

REFS = "refs/sentiment-remote"
ENTRY = "from runner.main import main\n\nmain()\n"


def submit(
    on: Sequence[str], runs: Sequence[Sequence[str]], include_changes: bool = False, heartbeat_s: float = HEARTBEAT_S
) -> JobFolder:
    """Send the commit HEAD with the arguments of its experiments; return the job, which nothing runs yet.

    Args:
        on: where it will run, such as ["local"]; kept for `list` and `stop`.
        runs: the arguments of each `dvc exp run`.
        include_changes: take changes that are not committed along.
        heartbeat_s: seconds between two signs of life.

    Raises:
        InputError: the tree has changes, or an input is nowhere.
        ParamsError: no `s3://` remote, or an experiment has such a name already.
        StorageError: the storage does not answer.
    """
    remote = Remote.read(STORAGE)
    _check_names(runs)
    changes = _changes(include_changes)
    if not include_changes and (missing := unseen_source()):
        raise InputError(missing.replace("queued and --temp experiments do", "a remote experiment does"))
    folder = JobFolder(remote, new_id())
    commit = git("rev-parse", "HEAD")
    job = {
        "version": 1,
        "id": folder.id,
        "on": list(on),
        "commit": commit,
        "changes": changes,
        "runs": [list(run) for run in runs],
        "stages": len(yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]),
        "heartbeat_s": heartbeat_s,
        "author": _author(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "remote": _addresses(remote),
        "is_complete": push_data(),
    }
    bundle = _bundle(folder.id, commit, changes)
    try:
        folder.store.put(BUNDLE, bundle)
        folder.store.put(RUNNER, runner_archive())
        folder.store.put(JOB, json.dumps(job, indent=2).encode())  # last: a job is complete or absent
    except S3_ERRORS as error:
        raise storage_error(remote, error) from None
    return folder


def runner_archive() -> bytes:
    """Return the runner as one file that `python` runs."""
    source = Path(sentiment.remote.runner.__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "archive" / "runner"
        package.mkdir(parents=True)
        for module in sorted(source.glob("*.py")):
            (package / module.name).write_bytes(module.read_bytes())
        (package.parent / "__main__.py").write_text(ENTRY, encoding="utf-8")
        archive = io.BytesIO()
        zipapp.create_archive(package.parent, archive)
        return archive.getvalue()


def _changes(include: bool) -> str | None:
    """Return a commit of the working tree on top of HEAD, None where nothing has changed."""
    listed = git("diff", "--name-only", "-z", "HEAD") + git("ls-files", "-z", "--others", "--exclude-standard")
    changed = [name for name in listed.split("\0") if name]
    if not changed:
        return None
    if not include:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise InputError(f"{changed[0]}{more} not committed; commit, or take the changes along by --include-changes")
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", "HEAD", env=index)
        git("add", "--all", env=index)
        tree = git("write-tree", env=index)
    return git("commit-tree", "-p", "HEAD", "-m", "Changes taken along by sentiment remote run", tree)


def _bundle(job_id: str, commit: str, changes: str | None) -> bytes:
    """Return a git bundle of the commits; a bundle names them by references, which exist only meanwhile."""
    commits = {"commit": commit, **({"changes": changes} if changes else {})}
    with _references(job_id, commits) as refs, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "repo.bundle"
        git("bundle", "create", "-q", str(path), *refs)
        return path.read_bytes()


@contextmanager
def _references(job_id: str, commits: dict[str, str]) -> Iterator[list[str]]:
    refs = {f"{REFS}/{job_id}/{name}": commit for name, commit in commits.items()}
    try:
        for ref, commit in refs.items():
            git("update-ref", ref, commit)
        yield list(refs)
    finally:
        for ref in refs:
            git("update-ref", "-d", ref)


def _addresses(remote: Remote) -> dict[str, Any]:
    """Return the settings of the remote that are no secrets."""
    keys = [key for key in SETTINGS if key != "url"]
    settings = {key: remote.settings[key] for key in keys if remote.settings.get(key) not in (None, "")}
    return {"name": remote.name, "url": remote.url, **settings}


def _author() -> dict[str, str]:
    name, _, rest = git("var", "GIT_COMMITTER_IDENT").partition(" <")  # Name <email> time zone
    return {"name": name, "email": rest.partition(">")[0]}


def _check_names(runs: Sequence[Sequence[str]]) -> None:
    """Raise ParamsError if an experiment of the same name is here."""
    refs = git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    present = {match[1] for ref in refs if (match := EXPERIMENT_REF.fullmatch(ref))}
    for run in runs:
        names = [value for option, value in pairwise(run) if option == "-n"]
        if names and names[0] in present:
            raise ParamsError(f"experiment '{names[0]}' is here already; choose another name, or dvc exp remove it")
