"""`dvc push --run-cache`, and the outputs of earlier runs with it, so that a colleague can go back to their settings.

    python -m storage.push          what `make push` does

DVC 3.67 pushes the run cache, which names the outputs of earlier runs by hash, but of the outputs themselves only those
of the current settings, and never metrics that git keeps (`cache: false`). Without them a fresh clone trains again.
"""

import argparse
import logging
import subprocess
from pathlib import Path

from sentiment.common.command import run_main

log = logging.getLogger(__name__)


def earlier_runs(cache: Path) -> list[tuple[str, str]]:
    """Return key and value of every run in the run cache, whose files are runs/KK/KEY/VALUE."""
    return sorted((path.parent.name, path.name) for path in cache.glob("runs/*/*/*") if path.is_file())


def push_runs() -> tuple[int, int]:
    """Push the outputs of earlier runs in this cache; return how many objects were pushed and how many failed."""
    # takes seconds to import, so --help does not wait for it
    from dvc.repo import Repo

    pushed = failed = 0
    with Repo() as repo:
        runs = earlier_runs(Path(repo.cache.legacy.path))
        for objects in repo.stage_cache.get_used_objs(runs).values():
            result = repo.cloud.push(objects)
            pushed, failed = pushed + len(result.transferred), failed + len(result.failed)
    return pushed, failed


def main() -> int:
    """Push the current outputs and the run cache, then what earlier runs made; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()

    status = subprocess.run(["dvc", "push", "--run-cache"]).returncode
    if status:
        return status
    pushed, failed = push_runs()
    log.info("push: %d objects of earlier runs pushed, %d failed", pushed, failed)
    return min(failed, 1)


if __name__ == "__main__":
    run_main(main)
