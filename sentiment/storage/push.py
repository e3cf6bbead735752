"""Push outputs, the run cache and the outputs of earlier runs, so that a colleague can go back to their settings.

DVC 3.67 pushes the run cache, which names the outputs of earlier runs by hash, but of the outputs themselves only those
of the current settings, and never metrics that git keeps (`cache: false`). Without them a fresh clone trains again.
"""

import logging
import subprocess
import sys
from pathlib import Path

from sentiment.storage.doctor import remote_checks
from sentiment.storage.s3 import Remote

log = logging.getLogger(__name__)


def push(remote: Remote, jobs: int | None) -> int:
    """Push the current outputs and the run cache, then what earlier runs made; return the exit status.

    Where `dvc push` fails, the check of the remote that fails names the cause.

    Args:
        remote: where to.
        jobs: connections; None for DVC's default.
    """
    command = [sys.executable, "-m", "dvc", "push", "--run-cache", "--remote", remote.name]
    status = subprocess.run([*command, *([] if jobs is None else ["--jobs", str(jobs)])]).returncode
    if status:
        for result in remote_checks(remote):
            if result.status == "FAIL" or (result.check, result.status) == ("write", "note"):
                log.error("push: %s at %s: %s", remote.url, remote.endpoint, result.text)
        return status
    pushed, failed = push_runs(remote, jobs)
    log.info("push: %d objects of earlier runs pushed, %d failed", pushed, failed)
    return min(failed, 1)


def push_runs(remote: Remote, jobs: int | None) -> tuple[int, int]:
    """Push the outputs of earlier runs in this cache; return how many objects were pushed and how many failed."""
    # takes seconds to import
    from dvc.repo import Repo

    pushed = failed = 0
    with Repo() as repo:
        runs = earlier_runs(Path(repo.cache.legacy.path))
        for objects in repo.stage_cache.get_used_objs(runs).values():
            result = repo.cloud.push(objects, jobs=jobs, remote=remote.name)
            pushed, failed = pushed + len(result.transferred), failed + len(result.failed)
    return pushed, failed


def earlier_runs(cache: Path) -> list[tuple[str, str]]:
    """Return key and value of every run in the run cache, whose files are runs/KK/KEY/VALUE."""
    return sorted((path.parent.name, path.name) for path in cache.glob("runs/*/*/*") if path.is_file())
