"""A process that has compared predictions ends with its own status, also on a busy machine."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.project import Project

N_PROCESSES = 40  # of those that read a Parquet file from Python's memory, more than one in twenty aborted
READ = """
from sentiment.experiments.comparison import read_predictions
from sentiment.experiments.revisions import Revision, WORKSPACE
read_predictions(Revision(WORKSPACE), "val")
"""


@pytest.mark.slow
def test_no_thread_of_arrow_aborts_the_process(completed_project: Project) -> None:
    def failure(_: int) -> str:
        command = [sys.executable, "-X", "faulthandler", "-c", READ]
        done = subprocess.run(command, cwd=completed_project.root, capture_output=True, text=True, timeout=120)
        return f"exit status {done.returncode}: {done.stderr}" if done.returncode else ""

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(failure, range(N_PROCESSES))) == {""}
