"""Run the committed pipeline in a temporary clone and compare every output with the committed dvc.lock.

    python -m tools.verify          what `make verify` does

What goes in is the commit HEAD: code, params, and inputs from git or DVC. Every stage runs; no output and no earlier
run is taken from a cache. Exit status 0 when every output has the hash in dvc.lock, else 1, and a line names each
output that differs, in the order of the stages: the first is the cause.
"""

import argparse
import logging
import tempfile
from pathlib import Path

import yaml

from sentiment.common.command import run_main
from sentiment.storage.s3 import dvc_cache
from sentiment.storage.transfer import Output, read_outputs
from tools.process import run

log = logging.getLogger(__name__)


def clone_inputs(root: Path, clone: Path) -> None:
    """Clone the commit HEAD of `root`, and bring inputs that DVC tracks from its cache, else from the remote."""
    run(root, "git", "clone", "--quiet", "--no-hardlinks", str(root.resolve()), str(clone))
    imports = [name for name in run(clone, "git", "ls-files", "-z", "*.dvc").split("\0") if name]
    if not imports:
        return
    config = root / ".dvc" / "config.local"
    if config.exists():  # endpoint and credentials
        (clone / ".dvc" / "config.local").write_bytes(config.read_bytes())
    run(clone, "dvc", "config", "--local", "cache.type", "copy")
    run(clone, "dvc", "cache", "dir", "--local", str(dvc_cache().resolve()))
    run(clone, "dvc", "pull", *imports)
    run(clone, "dvc", "config", "--local", "--unset", "cache.dir")


def differing_outputs(root: Path, clone: Path) -> list[Output]:
    """Return the outputs of the dvc.lock at HEAD that a clone that has run has not made, in the order of dvc.yaml."""
    stages = list(yaml.safe_load((clone / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    lock = clone / ".git" / "committed.lock"
    lock.write_text(run(root, "git", "show", "HEAD:./dvc.lock"), encoding="utf-8")
    actual = {output.path: output.md5 for output in read_outputs(clone / "dvc.lock")}
    committed = sorted(read_outputs(lock), key=lambda output: stages.index(output.stage))
    return [output for output in committed if actual.get(output.path) != output.md5]


def main() -> int:
    """Run the pipeline in a clone; return 0 when every output has the committed hash."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    root = Path()
    if run(root, "git", "status", "--porcelain", "--untracked-files=no").strip():
        log.warning("verify: uncommitted changes are left out; this verifies HEAD")
    with tempfile.TemporaryDirectory(prefix="verify-") as temporary:
        clone = Path(temporary) / "clone"
        clone_inputs(root, clone)
        run(clone, "dvc", "repro", "--force", "--no-run-cache", quiet=False)
        differing = differing_outputs(root, clone)
        n_outputs = len(read_outputs(clone / "dvc.lock"))
    for output in differing:
        log.error("verify: stage %s: %s differs from the committed dvc.lock", output.stage, output.path)
    if not differing:
        log.info("verify: all %d outputs have the hash of the committed dvc.lock", n_outputs)
    return min(len(differing), 1)


if __name__ == "__main__":
    run_main(main)
