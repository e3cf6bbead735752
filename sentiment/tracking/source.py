"""A project in; why experiments that run in a copy of it would not find the reviews, or None, out.

if missing := unseen_source(): log.warning(missing)
"""

import subprocess
from pathlib import Path

import yaml


def unseen_source(root: Path = Path()) -> str | None:
    """Return why queued and --temp experiments would lack `prepare.source`, as one line; None where they would not.

    DVC copies what is in git's index and what is tracked by a .dvc file there (DVC 3.67.1).
    """
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    source = str(params["prepare"]["source"])
    if _in_index(root, source) or _in_index(root, f"{source}.dvc"):
        return None
    seen_by = "queued and --temp experiments do not see it"
    if (root / f"{source}.dvc").is_file():
        return f"{source}.dvc is neither staged nor committed: {seen_by}; run git add {source}.dvc"
    return f"{source} is tracked neither by DVC nor by git: {seen_by}; run dvc add {source}, then git add {source}.dvc"


def _in_index(root: Path, path: str) -> bool:
    command = ["git", "ls-files", "--error-unmatch", "--", path]
    return subprocess.run(command, cwd=root, capture_output=True, timeout=60).returncode == 0
