"""Send experiments to another machine, follow them, stop them, and bring them back as if they had run here.

    folder = submit(["local"], [["-n", "slow", "--set-param=train.learning_rate=0.001"]])

What a job needs lies below jobs/ID/ of the storage remote: a git bundle of the commit, the arguments, the runner. Of
`.dvc/config.local` nothing but addresses goes along; the job finds its credentials where it runs.
"""

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from sentiment.common.errors import InputError, ParamsError, StorageError, one_line
from sentiment.experiments.revisions import unseen_source
from sentiment.remote.backends import runner_source
from sentiment.remote.job import S3_ERRORS, Backend, JobFolder, Status, checked, new_id
from sentiment.remote.runner import (
    BUNDLE,
    EXPERIMENT_REF,
    EXPERIMENTS,
    HEARTBEAT_S,
    INTERRUPTED,
    JOB,
    MISSED_HEARTBEATS,
    REMOTE_SETTINGS,
    RUNNER,
    STOP,
    log_part,
)
from sentiment.storage.s3 import STORAGE, Remote

REFS = "refs/sentiment-remote"
GIT_LIMIT_S = 300
POLL_S = 1.0
SLOW_ANSWER_S = 5.0  # a poll that took longer met an outage, in which the runner could not write either
STOP_LIMIT_S = 180.0  # the runner pushes what is complete
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")  # of an experiment: a component of a git reference
TARGET = re.compile(r"[\w./-]+")
REFUSED = {
    "--temp": "the job runs in a folder of its own anyway",
    "--run-all": "the queue of this project stays here; give the values with -S",
    "-C": "add the file to git or DVC",
    "--copy-paths": "add the file to git or DVC",
    "--dry": "nothing would come back",
}


class LostJobError(StorageError):
    """The runner no longer gives a sign of life."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ParamsError(f"arguments of dvc exp run: {message}")


def experiments(arguments: Sequence[str], name: str | None) -> list[list[str]]:
    """Return the arguments of each `dvc exp run`: several values of `-S` make a grid, named NAME-1, NAME-2, ...

    A grid runs one after another in one folder, so that `encode` is computed once; DVC's queue would copy the project
    for each and leave worker processes behind (DVC 3.67.1).

    Args:
        arguments: what follows `--`, as `dvc exp run` takes it.
        name: of the experiment; `-n` among the arguments says the same.

    Raises:
        ParamsError: an argument that makes no sense elsewhere, or a value that DVC cannot read.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("-S", "--set-param", action="append", default=[])
    parser.add_argument("-n", "--name", default=name)
    parser.add_argument("--queue", action="store_true")  # implied by several values
    parser.add_argument("-j", "--jobs")  # of the queue
    parsed, others = parser.parse_known_args(list(arguments))
    for argument in others:
        option = argument.partition("=")[0]
        if option in REFUSED:
            raise ParamsError(f"{option}: not available in a remote run; {REFUSED[option]}")
        if not argument.startswith("-"):
            checked(argument, TARGET, "a target of dvc exp run")
    if parsed.name is not None:
        checked(parsed.name, NAME, "a name: letters, digits, '.', '_' and '-', at most 100")
    grid = _grid(parsed.set_param)
    names = [parsed.name] if len(grid) == 1 else [parsed.name and f"{parsed.name}-{i + 1}" for i in range(len(grid))]
    return [
        [*(["-n", one] if one else []), *(f"--set-param={value}" for value in values), *others]
        for one, values in zip(names, grid, strict=True)
    ]


def _grid(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each experiment, read by DVC's own parser; raises ParamsError."""
    if not overrides:
        return [[]]
    from dvc.exceptions import DvcException
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import get_hydra_sweeps, to_hydra_overrides
    from hydra.errors import HydraException

    try:
        by_path = to_path_overrides(overrides)
        if not any(one.is_sweep_override() for values in by_path.values() for one in to_hydra_overrides(values)):
            return [list(overrides)]
        grid = get_hydra_sweeps(by_path)
    except (DvcException, HydraException, ValueError) as error:
        raise ParamsError(f"-S {' '.join(overrides)}: {str(error).splitlines()[0]}") from None
    return [
        [value if path == "params.yaml" else f"{path}:{value}" for path, values in one.items() for value in values]
        for one in grid
    ]


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
    name, _, rest = git("var", "GIT_COMMITTER_IDENT").partition(" <")  # Name <email> time zone
    addresses = {key: remote.settings[key] for key in REMOTE_SETTINGS if remote.settings.get(key) not in (None, "")}
    job = {
        "id": folder.id,
        "on": list(on),
        "commit": commit,
        "changes": changes,
        "runs": [list(run) for run in runs],
        "heartbeat_s": heartbeat_s,
        "author": {"name": name, "email": rest.partition(">")[0]},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "remote": {**addresses, "name": remote.name, "url": remote.url},
        "is_complete": push_data(),
    }
    bundle = _bundle(folder.id, commit, changes)
    folder.write(BUNDLE, bundle)
    folder.write(RUNNER, runner_source())
    folder.write(JOB, json.dumps(job, indent=2).encode())  # last: a job without it was not sent
    return folder


def push_data() -> bool:
    """Push inputs and outputs of the workspace that the remote lacks; return whether it now has all of them.

    An output that is nowhere is no error: its stage then runs in the job.

    Raises:
        InputError: an input that a .dvc file tracks is neither here nor there.
        StorageError: the storage does not answer.
    """
    from dvc.exceptions import DvcException  # a second
    from dvc.repo import Repo

    for library in ("dvc", "dvc_data"):  # they warn of every file that is nowhere
        logging.getLogger(library).setLevel(logging.ERROR)
    objects: set[Any] = set()
    nowhere: list[Any] = []
    with Repo() as repo:
        outs = [out for out in repo.index.outs if out.use_cache and out.hash_info]
        for out in outs:
            try:
                objects.update(*out.get_used_objs(remote=STORAGE).values())
            except (DvcException, OSError):  # the list of a folder is nowhere
                nowhere.append(out)
        try:
            status = repo.cloud.status(objects, remote=STORAGE)
            failed = repo.cloud.push(status.new, remote=STORAGE).failed if status.new else set()
        except (DvcException, OSError, *S3_ERRORS) as error:
            raise StorageError(f"dvc push: {one_line(error)}") from None
        if failed:
            raise StorageError(f"dvc push: {len(failed)} objects failed; `sentiment doctor` checks the storage")
        missing = {one.value for one in status.missing}
        nowhere += [out for out in outs if out.hash_info.value in missing]
        if inputs := [out for out in nowhere if out.stage.is_data_source]:
            raise InputError(f"{inputs[0]}: neither in the cache here nor in the remote; `dvc add` or `dvc push` it")
        return not nowhere and not missing


def _check_names(runs: Sequence[Sequence[str]]) -> None:
    """Raise ParamsError if an experiment of the same name is here."""
    refs = git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    present = {match[1] for ref in refs if (match := EXPERIMENT_REF.fullmatch(ref))}
    for run in runs:
        names = [value for option, value in pairwise(run) if option == "-n"]
        if names and names[0] in present:
            raise ParamsError(f"experiment '{names[0]}' is here already; choose another name, or dvc exp remove it")


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


def follow(folder: JobFolder, backend: Backend) -> Status:
    """Write the log of a job to standard output until it ends; return its last status.

    Raises:
        LostJobError: the runner did not start within the limit of its backend, or its heartbeat stopped.
        StorageError: the storage does not answer.
    """
    heartbeat_s = folder.job()["heartbeat_s"]
    parts, begun, check_at = 0, time.monotonic(), 0.0
    while True:
        asked = time.monotonic()
        status = folder.status()  # before the log: a final status is written after the log's end
        text, parts = new_text(folder, parts)
        if time.monotonic() - asked > SLOW_ANSWER_S:
            check_at = time.monotonic() + MISSED_HEARTBEATS * heartbeat_s
        sys.stdout.write(text)
        sys.stdout.flush()
        if status and status.is_final:
            return status
        if time.monotonic() > check_at:
            check_alive(folder, backend, status, time.monotonic() - begun, heartbeat_s)
            check_at = time.monotonic() + heartbeat_s  # it may ask SageMaker, or connect to a host
        time.sleep(POLL_S)


def new_text(folder: JobFolder, parts: int) -> tuple[str, int]:
    """Return what the log has after its first `parts` parts, and how many there are now; raises StorageError."""
    text = []
    while (part := folder.read(log_part(parts + 1))) is not None:
        text.append(part.decode("utf-8", "replace"))
        parts += 1
    return "".join(text), parts


def check_alive(
    folder: JobFolder, backend: Backend, status: Status | None, following_s: float, heartbeat_s: float
) -> None:
    """Raise LostJobError if a job has no runner: it never came, did not come back, or its heartbeat stopped."""
    if status is None or status.state == INTERRUPTED:
        is_over, text = backend.describe(folder)
        if is_over or (status.age if status else following_s) > backend.start_limit_s:
            verb = "did not start" if status is None else "was interrupted and did not start again"
            raise LostJobError(f"job {folder.id} {verb}: {text}")
    elif status.is_lost(heartbeat_s):
        _, text = backend.describe(folder)
        raise LostJobError(
            f"job {folder.id}: no heartbeat for {status.age:.0f} s, in state {status.state} ({text}); "
            f"`sentiment remote fetch {folder.id}` brings what it has pushed"
        )


def stop(folder: JobFolder, backend: Backend) -> str:
    """Ask a job to stop and wait for it; return how it ended, as one line.

    Raises:
        ParamsError: there is no such job.
        StorageError: the storage does not answer, or the job goes on.
    """
    heartbeat_s = folder.job()["heartbeat_s"]
    deadline = time.monotonic() + STOP_LIMIT_S + 2 * heartbeat_s
    folder.write(STOP, b"")
    backend.cancel(folder)
    while time.monotonic() < deadline:
        status = folder.status()
        if status and status.is_final:
            return status.line
        silent = status is None or status.state == INTERRUPTED or status.is_lost(heartbeat_s)
        if silent and backend.describe(folder)[0]:
            return "its runner is gone; nothing runs"
        time.sleep(POLL_S)
    raise StorageError(f"job {folder.id}: still running {STOP_LIMIT_S:.0f} s after the request; look at where it runs")


def fetch(folder: JobFolder, with_data: bool = True) -> list[str]:
    """Return the names of the experiments of a job, after bringing them into this repository.

    Args:
        folder: the job.
        with_data: fetch the outputs too; without, `dvc exp apply` fetches them.

    Raises:
        InputError: an experiment here has the same name and other content, or the outputs are not available.
        StorageError: the storage does not answer.
    """
    bundle = folder.read(EXPERIMENTS)
    if bundle is None:
        return []
    commits = _import_bundle(bundle)
    if with_data:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        with Repo() as repo:
            try:
                repo.fetch(revs=list(commits.values()), remote=STORAGE)
            except (DvcException, OSError, *S3_ERRORS) as error:
                raise InputError(f"dvc fetch: {one_line(error)}; run the same command again") from None
    return sorted(commits)


def _import_bundle(bundle: bytes) -> dict[str, str]:
    """Add the experiments of a git bundle to this repository; return the commit of each by its name.

    Only references of experiments are taken, whatever else the bundle has, and git checks every object.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "experiments.bundle"
        path.write_bytes(bundle)
        heads = [line.split(" ", 1) for line in git("bundle", "list-heads", str(path)).splitlines()]
        matches = {match[0]: (match[1], commit) for commit, ref in heads if (match := EXPERIMENT_REF.fullmatch(ref))}
        for ref, (name, commit) in matches.items():
            present = git("for-each-ref", "--format=%(objectname)", ref)
            if present and present != commit:
                raise InputError(f"experiment '{name}' is here with another content; dvc exp rename it, then fetch")
        if specs := [f"{ref}:{ref}" for ref in matches]:
            options = ["--quiet", "--no-tags", "--no-write-fetch-head"]
            git("-c", "fetch.fsckObjects=true", "fetch", *options, str(path), *specs)
    return dict(matches.values())


def git(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run a git command in this folder and return its output; raises InputError with git's last line."""
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, encoding="utf-8", timeout=GIT_LIMIT_S,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(f"git {arguments[0]}: {reason[-1].removeprefix('fatal: ')}")
    return done.stdout.strip()
