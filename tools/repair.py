"""Repair what DVC was writing when it was killed; exit status 0 where there was something to repair.

    dvc repro || { python -m tools.repair && dvc repro; }

DVC (3.67) empties dvc.lock and rewrites it after each stage, which takes a tenth of a second; likewise its list of
locked files. Killed meanwhile, it leaves an empty or cut file, and refuses it from then on. `dvc exp run`
detaches HEAD while it runs, commits the experiment there, and goes back to the branch; killed meanwhile, it leaves HEAD
detached, at worst at the experiment. It also leaves git's index cut off, into which it stages what it has
written, or a lock of git, such as .git/index.lock, with which every git command fails. Nothing is lost: what ran since
the last commit is in DVC's run cache.
"""

import argparse
import hashlib
import json
import logging
import re
from contextlib import suppress
from pathlib import Path

import psutil

from sentiment.common.command import run_main
from tools.process import run

LOCK = Path("dvc.lock")
RWLOCK = Path(".dvc/tmp/rwlock")
EXPERIMENT = "dvc: commit experiment"  # how the message of a commit begins that DVC makes for an experiment
EXPERIMENT_REF = "refs/exps/exec/EXEC_HEAD"  # is there once an experiment has run

log = logging.getLogger(__name__)


def repair() -> bool:
    """Mend git's locks, index and branch, dvc.lock and DVC's list of locked files, each where DVC left it broken."""
    is_repaired = _remove_locks() | _build_index() | _go_back_to_branch()
    if LOCK.exists() and not _is_lock(LOCK.read_bytes()):
        if run(Path(), "git", "ls-files", str(LOCK)):
            run(Path(), "git", "restore", "--source=HEAD", "--staged", "--worktree", str(LOCK))
        else:
            LOCK.unlink()
        log.info("%s was cut off when an earlier run was killed: goes back to the last commit", LOCK)
        is_repaired = True
    if RWLOCK.exists() and not _is_json(RWLOCK.read_bytes()):
        RWLOCK.unlink()
        log.info("%s was cut off when an earlier run was killed: removed", RWLOCK)
        is_repaired = True
    return is_repaired


def _remove_locks() -> bool:
    """Remove the locks of git whose process was killed, which is so where no git and no DVC runs in this checkout."""
    folder = Path(_git("rev-parse", "--git-dir"))
    locks = [*folder.glob("*.lock"), *folder.glob("refs/**/*.lock")]
    if not locks or _runs_here():
        return False
    for lock in locks:
        lock.unlink(missing_ok=True)
        log.info("%s was left by a git command that was killed: removed", lock)
    return True


def _runs_here() -> bool:
    """Return whether a git or DVC command runs in the checkout."""
    root = Path(_git("rev-parse", "--show-toplevel"))
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended, or is another user's
            words = {Path(word).name for word in process.cmdline()[:2]}
            if words & {"git", "dvc"} and Path(process.cwd()).is_relative_to(root):
                return True
    return False


def _build_index() -> bool:
    """Build git's index from the last commit where it has not the checksum at its end; the files stay."""
    index = Path(_git("rev-parse", "--git-path", "index"))
    if not index.exists() or _is_index(index.read_bytes(), _git("rev-parse", "--show-object-format")):
        return False
    index.unlink()
    _git("reset", "--quiet")
    log.info("git's index was cut off when an earlier run was killed: is built again")
    return True


def _is_index(content: bytes, hash_name: str) -> bool:
    size = hashlib.new(hash_name).digest_size
    # zeros where index.skipHash is set
    return content[-size:] in (hashlib.new(hash_name, content[:-size]).digest(), bytes(size))


def _go_back_to_branch() -> bool:
    """Attach HEAD to the branch from which DVC detached it for an experiment; the files stay."""
    if _git("rev-parse", "--symbolic-full-name", "HEAD") != "HEAD":
        return False
    subjects = _git("log", "-20", "--format=%s").splitlines()
    n_experiments = next((n for n, subject in enumerate(subjects) if not subject.startswith(EXPERIMENT)), 0)
    branches = _git("for-each-ref", "--points-at", f"HEAD~{n_experiments}", "--format=%(refname)", "refs/heads").split()
    if (left := _detached_from()) in branches:
        branches = [left]
    elif not n_experiments:
        return False  # a person has detached it
    if len(branches) != 1:
        log.warning("HEAD is at an experiment that was killed; `git switch --force BRANCH` goes back to your branch")
        return False
    _git("symbolic-ref", "HEAD", branches[0])
    _git("reset", "--quiet")
    log.info(
        "an experiment that was killed had detached HEAD: goes back to %s", branches[0].removeprefix("refs/heads/")
    )
    return True


def _detached_from() -> str:
    """Return the branch that DVC left when it last detached HEAD, "" where no experiment has run, or a person did.

    DVC names a whole hash, as a person rarely does.
    """
    if EXPERIMENT_REF not in _git("for-each-ref", "--format=%(refname)", EXPERIMENT_REF):
        return ""
    messages = _git("log", "--walk-reflogs", "--format=%gs", "HEAD").splitlines()
    moved = next(filter(None, map(re.compile("checkout: moving from (.*) to (.*)").fullmatch, messages)), None)
    return f"refs/heads/{moved[1]}" if moved and re.fullmatch("[0-9a-f]{40}", moved[2]) else ""


def _git(*arguments: str) -> str:
    return run(Path(), "git", *arguments).strip()


def _is_lock(content: bytes) -> bool:
    """Return whether DVC reads a lock and wrote its last line to the end; it also reads `hash: m`, and fails later."""
    from dvc.exceptions import DvcException  # DVC's modules take half a second
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import parse_yaml
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(content.decode(), str(LOCK)))
    except (DvcException, Invalid, UnicodeDecodeError):
        return False
    return content.endswith(b"\n")


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def main() -> int:
    """Repair; return 0 where there was something to repair, else 1."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    return 0 if repair() else 1


if __name__ == "__main__":
    run_main(main)
