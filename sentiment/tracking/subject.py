"""The name of a revision in, the subject of its commit out: words for people in the place of a hash.

commit_subject("9f63817")    "Serve at the speed of predict"
"""

import subprocess
from pathlib import Path

EXPERIMENT = "dvc: commit experiment "  # the subject that DVC gives to every experiment's commit; a hash follows


def commit_subject(name: str, root: Path = Path()) -> str:
    """Return the first line of the message of a commit, branch or tag.

    Empty where there are no words of a person: for the workspace, a baseline or an experiment.
    """
    command = ["git", "log", "-1", "--format=%s", "--end-of-options", name, "--"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    subject = done.stdout.strip() if done.returncode == 0 else ""
    return "" if subject.startswith(EXPERIMENT) else subject
