"""Repair what DVC was writing when it was killed; exit status 0 where there was something to repair.

    dvc repro || { python -m tools.repair && dvc repro; }

DVC (3.67) empties dvc.lock and writes it anew after each stage, which takes a tenth of a second; likewise its list of
locked files. Killed meanwhile, it leaves an empty or cut file, and refuses it from then on. `dvc exp run` commits an
experiment on a detached HEAD before it gives it a name and goes back to the branch; killed meanwhile, it leaves HEAD
there. Nothing is lost: what ran since the last commit is in DVC's run cache.
"""

import argparse
import json
import logging
from pathlib import Path

from sentiment.common.command import run_main
from tools.process import run

LOCK = Path("dvc.lock")
RWLOCK = Path(".dvc/tmp/rwlock")
EXPERIMENT = "dvc: commit experiment"  # how the message of a commit begins that DVC makes for an experiment

log = logging.getLogger(__name__)


def repair() -> bool:
    """Go back to the branch, restore dvc.lock and remove DVC's list of locked files, each where DVC left it broken."""
    is_repaired = _go_back_to_branch()
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


def _go_back_to_branch() -> bool:
    """Attach HEAD to the branch from which the commits of experiments that it is at began; the files stay."""
    if run(Path(), "git", "rev-parse", "--symbolic-full-name", "HEAD").strip() != "HEAD":
        return False  # on a branch
    subjects = run(Path(), "git", "log", "-20", "--format=%s").splitlines()
    n_experiments = next((n for n, subject in enumerate(subjects) if not subject.startswith(EXPERIMENT)), 0)
    if not n_experiments:
        return False
    start = f"HEAD~{n_experiments}"
    branches = run(Path(), "git", "for-each-ref", "--points-at", start, "--format=%(refname)", "refs/heads").split()
    if len(branches) != 1:
        log.warning("HEAD is at an experiment that was killed; `git switch --force BRANCH` goes back to your branch")
        return False
    run(Path(), "git", "symbolic-ref", "HEAD", branches[0])
    run(Path(), "git", "reset", "--quiet")
    log.info("HEAD was at an experiment that was killed: goes back to %s", branches[0].removeprefix("refs/heads/"))
    return True


def _is_lock(content: bytes) -> bool:
    from dvc.exceptions import DvcException  # DVC's modules take half a second
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import parse_yaml
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(content.decode(), str(LOCK)))
    except (DvcException, Invalid, UnicodeDecodeError):
        return False
    return True


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
