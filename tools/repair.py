"""Repair what DVC was writing when it was killed; exit status 0 where there was something to repair.

    dvc repro || { python -m tools.repair && dvc repro; }

DVC (3.67) empties dvc.lock and writes it anew after each stage, which takes a tenth of a second; likewise its list of
locked files. Killed meanwhile, it leaves an empty or cut file, and refuses it from then on. Nothing is lost: what ran
since the last commit is in its run cache.
"""

import argparse
import json
import logging
from pathlib import Path

from sentiment.common.command import run_main
from tools.process import run

LOCK = Path("dvc.lock")
RWLOCK = Path(".dvc/tmp/rwlock")

log = logging.getLogger(__name__)


def repair() -> bool:
    """Restore dvc.lock from the last commit and remove DVC's list of locked files, each where DVC would refuse it."""
    is_repaired = False
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
