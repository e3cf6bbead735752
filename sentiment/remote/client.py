"""Send experiments to another machine, follow them, stop them, and bring them back as if they had run here.

    folder = submit(["local"], backend, [["-n", "slow", "--set-param=train.l2=0.01"]])

What a job needs lies below jobs/ID/ of the storage remote: a git bundle of the commit, the arguments, the runner. Of
`.dvc/config.local` nothing but addresses goes along; the job finds its credentials where it runs. Where the storage
does not answer, botocore's errors are raised.
"""

import argparse
import json
import logging
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

import sentiment.remote.runner as runner
from sentiment.common.errors import InputError, ParamsError, StorageError, one_line
from sentiment.experiments.revisions import experiment_refs, unseen_source
from sentiment.remote.backends import Backend
from sentiment.remote.job import LOST, MISSED_HEARTBEATS, WAITING, JobFolder, Status, checked
from sentiment.storage.s3 import STORAGE, Remote

GIT_LIMIT_S = 300
POLL_S = 1.0
SLOW_ANSWER_S = 5.0  # an answer that came later met an outage, in which the runner could not write either
RETRY_S = 20.0  # the longest that botocore waits before the runner tries again after an outage
OUTAGE_LIMIT_S = 300.0  # for which the storage may be away
STOP_LIMIT_S = 180.0  # the runner pushes what is complete
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")  # of an experiment: a component of a git reference
REMOTE_SETTINGS = ("url", "endpointurl", "region", "use_ssl", "ssl_verify")  # of DVC; no secrets
REFUSED = ("--temp", "--run-all", "-C", "--copy-paths", "--dry")


class LostJobError(StorageError):
    """The runner no longer gives a sign of life."""


def experiments(arguments: Sequence[str], name: str | None) -> list[list[str]]:
    """Return the arguments of each `dvc exp run`: several values of `-S` make a grid, named NAME-1, NAME-2, ...

    A grid runs one after another in one folder, so that `encode` is computed once; DVC's queue would copy the project
    for each and leave worker processes behind (DVC 3.67.1).

    Raises:
        ParamsError: an argument that makes no sense elsewhere, or a value that DVC cannot read.
    """
    from dvc.exceptions import DvcException  # a second
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import get_hydra_sweeps
    from hydra.errors import HydraException

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-S", "--set-param", action="append", default=[])
    parser.add_argument("-n", "--name", default=name)
    parser.add_argument("--queue", action="store_true")  # implied by several values
    parser.add_argument("-j", "--jobs")  # of the queue
    try:
        parsed, others = parser.parse_known_args(list(arguments))
        grid = get_hydra_sweeps(to_path_overrides(parsed.set_param))
    except (argparse.ArgumentError, DvcException, HydraException, ValueError) as error:
        raise ParamsError(f"arguments of dvc exp run: {str(error).splitlines()[0]}") from None
    if refused := [argument for argument in others if argument.partition("=")[0] in REFUSED]:
        raise ParamsError(f"{refused[0]}: not available in a remote run, which has what git and DVC track")
    if parsed.name is not None:
        checked(parsed.name, NAME, "a name: letters, digits, '.', '_' and '-', at most 100")
    runs = []
    for number, overrides in enumerate(grid, 1):
        own = parsed.name if len(grid) == 1 else parsed.name and f"{parsed.name}-{number}"
        values = [f"--set-param={path}:{value}" for path, values in overrides.items() for value in values]
        runs.append([*(["-n", own] if own else []), *values, *others])
    return runs


def submit(on: Sequence[str], backend: Backend, runs: Sequence[Sequence[str]], heartbeat_s: float) -> JobFolder:
    """Send the commit HEAD with the arguments of its experiments; return the job, which nothing runs yet.

    Raises:
        InputError: the tree has changes, or an input is nowhere.
        ParamsError: no `s3://` remote, or an experiment has such a name already.
        StorageError: not everything could be pushed.
    """
    remote = Remote.read(STORAGE)
    names = {value for run in runs for option, value in pairwise(run) if option == "-n"}
    if taken := sorted(names.intersection(ref.rpartition("/")[2] for ref in experiment_refs())):
        raise ParamsError(f"experiment '{taken[0]}' is here already; choose another name, or dvc exp remove it")
    if changed := git("status", "--porcelain").splitlines():
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise InputError(f"{changed[0].split(maxsplit=1)[1]}{more} not committed; commit, or git stash -u, first")
    if missing := unseen_source():
        raise InputError(missing.replace("queued and --temp experiments do", "a remote experiment does"))
    folder = JobFolder(remote, f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}")
    # data of stages that do not run stays away; where some is nowhere, its stage has to run
    options = ["--pull", "--allow-missing"] if push_data() else ["--pull"]
    name, _, rest = git("var", "GIT_COMMITTER_IDENT").partition(" <")  # Name <email> time zone
    settings = [f"    {key} = {remote.settings[key]}\n" for key in REMOTE_SETTINGS if key in remote.settings]
    job = {
        "on": list(on),
        "commit": git("rev-parse", "HEAD"),
        "runs": [[*options, *run] for run in runs],
        "heartbeat_s": heartbeat_s,
        "start_limit_s": backend.start_limit_s,
        "author": {"name": name, "email": rest.partition(">")[0]},
        "dvc_config": f"['remote \"{remote.name}\"']\n{''.join(settings)}",
    }
    with tempfile.TemporaryDirectory() as temporary:
        bundle = Path(temporary) / "repo.bundle"
        git("bundle", "create", "-q", str(bundle), "HEAD")
        folder.put(runner.BUNDLE, bundle.read_bytes())
    folder.put(runner.RUNNER, Path(runner.__file__).read_bytes())
    folder.put(runner.JOB, json.dumps(job, indent=2).encode())  # last: a job without it was not sent
    return folder


def push_data() -> bool:
    """Push inputs and outputs of the workspace that the remote lacks; return whether it now has all of them.

    An output that is nowhere is no error: its stage then runs in the job.

    Raises:
        InputError: an input that a .dvc file tracks is neither here nor there.
        StorageError: not everything could be pushed.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    for library in ("dvc", "dvc_data"):  # they warn of every file that is nowhere
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        with Repo() as repo:
            outs = [out for out in repo.index.outs if out.use_cache and out.hash_info]
            # nothing where the list of a folder is nowhere
            used = [set().union(*out.get_used_objs(remote=STORAGE, force=True).values()) for out in outs]
            status = repo.cloud.status(set().union(*used), remote=STORAGE)
            failed = repo.cloud.push(status.new, remote=STORAGE).failed if status.new else ()
    except (DvcException, OSError) as error:
        raise StorageError(f"dvc push: {one_line(error)}") from None
    if failed:
        raise StorageError(f"dvc push: {len(failed)} objects failed; `sentiment doctor` checks the storage")
    nowhere = [out for out, objects in zip(outs, used, strict=True) if not objects or objects & status.missing]
    if inputs := [out for out in nowhere if out.stage.is_data_source]:
        raise InputError(f"{inputs[0]}: neither in the cache here nor in the remote; `dvc add` or `dvc push` it")
    return not nowhere


def follow(folder: JobFolder, backend: Backend, is_shown: bool = True, limit_s: float = float("inf")) -> Status:
    """Write the log of a job to standard output until it ends, if `is_shown`; return its last status.

    Raises:
        LostJobError: the runner did not start within the limit of its backend, or its heartbeat stopped.
        StorageError: the job has not ended within the limit.
    """
    job = folder.job()
    shown, check_at, answered, deadline = 0, 0.0, time.monotonic(), time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            status = folder.status(job["heartbeat_s"])  # before the log: a final status is written after the log's end
            if is_shown:
                shown = write_log(folder, shown)
        except (BotoCoreError, ClientError) as error:  # no answer, or one of a server that starts again
            is_refused = isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500
            if is_refused or time.monotonic() - answered > OUTAGE_LIMIT_S:
                raise
            time.sleep(POLL_S)
            continue
        if time.monotonic() - answered > SLOW_ANSWER_S:
            check_at = time.monotonic() + MISSED_HEARTBEATS * job["heartbeat_s"] + RETRY_S
        answered = time.monotonic()
        if status.state in runner.FINAL:
            return status
        if time.monotonic() > check_at:
            check_alive(folder, backend, status, job["start_limit_s"])
            check_at = time.monotonic() + job["heartbeat_s"]  # it may ask SageMaker, or connect to a host
        time.sleep(POLL_S)
    raise StorageError(f"job {folder.id}: still running after {limit_s:.0f} s; look at where it runs")


def write_log(folder: JobFolder, begin: int = 0) -> int:
    """Write the log from a byte on to standard output; return the byte after its last."""
    text = folder.get(runner.LOG, begin)
    sys.stdout.write(text.decode("utf-8", "replace"))
    sys.stdout.flush()
    return begin + len(text)


def check_alive(folder: JobFolder, backend: Backend, status: Status, start_limit_s: float) -> None:
    """Raise LostJobError if a job has no runner: it never came, did not come back, or its heartbeat stopped."""
    if status.state == LOST:
        fetch_it = f"`sentiment remote fetch {folder.id}` brings what it has pushed"
        raise LostJobError(f"job {folder.id} {status.line} ({backend.describe(folder)[1]}); {fetch_it}")
    if status.state in (WAITING, runner.INTERRUPTED):
        is_over, text = backend.describe(folder)
        if is_over or status.age > start_limit_s:
            verb = "did not start" if status.state == WAITING else "was interrupted and did not start again"
            raise LostJobError(f"job {folder.id} {verb}: {text}")


def stop(folder: JobFolder, backend: Backend) -> str:
    """Ask a job to stop and wait for it; return how it ended, as one line; raises StorageError where it goes on."""
    folder.put(runner.STOP, b"")
    backend.cancel(folder)
    try:
        return follow(folder, backend, is_shown=False, limit_s=STOP_LIMIT_S).line
    except LostJobError as error:
        return f"nothing runs; {error}"


def fetch(folder: JobFolder, with_data: bool = True) -> list[str]:
    """Bring the experiments of a job here, with their outputs unless `with_data` is False; return their names.

    Raises:
        InputError: an experiment here has the same name and other content, or the outputs are not available.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    bundle = folder.get(runner.EXPERIMENTS)
    if not bundle:
        return []
    commits = _import_bundle(bundle)
    if with_data:
        try:
            with Repo() as repo:
                repo.fetch(revs=list(commits.values()), remote=STORAGE)
        except (DvcException, OSError) as error:
            raise InputError(f"dvc fetch: {one_line(error)}; run the same command again") from None
    return sorted(ref.rpartition("/")[2] for ref in commits)


def _import_bundle(bundle: bytes) -> dict[str, str]:
    """Add the experiments of a git bundle to this repository; return the commit of each by its reference.

    Only references of experiments are taken, whatever else the bundle has, and git checks every object.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "experiments.bundle"
        path.write_bytes(bundle)
        heads = [line.split(" ", 1) for line in git("bundle", "list-heads", str(path)).splitlines()]
        commits = {ref: commit for commit, ref in heads if runner.EXPERIMENT_REF.fullmatch(ref)}
        present = experiment_refs()
        if other := [ref for ref, commit in commits.items() if present.get(ref, commit) != commit]:
            name = other[0].rpartition("/")[2]
            raise InputError(f"experiment '{name}' is here with another content; dvc exp rename it, then fetch")
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", str(path)]
        git("-c", "fetch.fsckObjects=true", "fetch", *options, *(f"{ref}:{ref}" for ref in commits))
    return commits


def git(*arguments: str) -> str:
    """Run a git command in this folder and return its output; raises InputError with git's last line."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, encoding="utf-8", timeout=GIT_LIMIT_S)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(f"git {arguments[0]}: {reason[-1].removeprefix('fatal: ')}")
    return done.stdout.strip()
