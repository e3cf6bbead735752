"""Brings the experiments of a job here: references into git, outputs into the DVC cache."""

import tempfile
from pathlib import Path

from sentiment.common.errors import InputError, one_line
from sentiment.remote.git import git
from sentiment.remote.job import S3_ERRORS, JobFolder, storage_error
from sentiment.remote.runner.layout import EXPERIMENT_REF, EXPERIMENTS
from sentiment.remote.runner.store import is_absent
from sentiment.storage.s3 import STORAGE


def fetch(folder: JobFolder, with_data: bool = True) -> list[str]:
    """Return the names of the experiments of a job, after bringing them into this repository.

    Args:
        folder: the job.
        with_data: fetch the outputs too; without, `dvc exp apply` fetches them.

    Raises:
        InputError: an experiment here has the same name and other content, or the outputs are not available.
        StorageError: the storage does not answer.
    """
    try:
        bundle = folder.store.get(EXPERIMENTS)
    except S3_ERRORS as error:
        if is_absent(error):
            return []
        raise storage_error(folder.remote, error) from None
    commits = import_bundle(bundle)
    if with_data:
        fetch_outputs(list(commits.values()))
    return sorted(commits)


def import_bundle(bundle: bytes) -> dict[str, str]:
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
        specs = [f"{ref}:{ref}" for ref in matches]
        if specs:
            git(
                "-c",
                "fetch.fsckObjects=true",
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                str(path),
                *specs,
            )
    return dict(matches.values())


def fetch_outputs(commits: list[str]) -> None:
    """Fetch the outputs of commits into the DVC cache; raises InputError."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with Repo() as repo:
        try:
            repo.fetch(revs=commits, remote=STORAGE)
        except (DvcException, OSError, *S3_ERRORS) as error:
            raise InputError(f"dvc fetch: {one_line(error)}; run the same command again") from None
