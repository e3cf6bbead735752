"""Run the committed pipeline in a temporary clone and compare every output with the committed dvc.lock.

    python -m tools.verify          what `make verify` does

What goes in is the commit HEAD: code, params, and inputs from git or DVC. Every stage runs; no output and no earlier
run is taken from a cache. Exit status 0 when every output has the hash in dvc.lock, else 1, and one line names the
first stage and file that differ.
"""

import argparse
import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from sentiment.common.command import run_main
from sentiment.storage.s3 import dvc_cache
from sentiment.storage.transfer import Output, read_outputs
from tools.process import run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Difference:
    """An output whose bytes differ from the committed dvc.lock.

    Attributes:
        output: as the committed dvc.lock records it.
        path: the file that differs, inside of the output where that is a folder.
    """

    output: Output
    path: str


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


def first_difference(root: Path, clone: Path) -> Difference | None:
    """Compare the dvc.lock of a clone that has run with the committed one, in the order of dvc.yaml."""
    stages = list(yaml.safe_load((clone / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    committed = sorted(read_lock_at_head(root, clone), key=lambda output: stages.index(output.stage))
    actual = {output.path: output.md5 for output in read_outputs(clone / "dvc.lock")}
    for output in committed:
        if actual.get(output.path) != output.md5:
            return Difference(output, _differing_file(output, actual.get(output.path), clone / ".dvc" / "cache"))
    return None


def read_lock_at_head(root: Path, folder: Path) -> list[Output]:
    """Return the outputs of the dvc.lock that is committed at HEAD."""
    committed = folder / ".git" / "committed.lock"
    committed.write_text(run(root, "git", "show", "HEAD:./dvc.lock"), encoding="utf-8")
    return read_outputs(committed)


def _differing_file(output: Output, actual_md5: str | None, clone_cache: Path) -> str:
    """Return the first file that differs; the folder itself where its committed list of files is not in the cache."""
    listings = []
    for cache, md5 in ((dvc_cache(), output.md5), (clone_cache, actual_md5 or "")):
        file = cache / "files" / "md5" / md5[:2] / md5[2:]
        if not md5.endswith(".dir") or not file.is_file():
            return output.path
        listings.append({entry["relpath"]: entry["md5"] for entry in json.loads(file.read_text(encoding="utf-8"))})
    committed, actual = listings
    differing = sorted(name for name in committed | actual if committed.get(name) != actual.get(name))
    return f"{output.path}/{differing[0]}"


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
        difference = first_difference(root, clone)
        n_outputs = len(read_outputs(clone / "dvc.lock"))
    if difference:
        stage, path = difference.output.stage, difference.path
        log.error("verify: stage %s: %s differs from the committed dvc.lock (the first difference)", stage, path)
        return 1
    log.info("verify: all %d outputs have the hash of the committed dvc.lock", n_outputs)
    return 0


if __name__ == "__main__":
    run_main(main)
