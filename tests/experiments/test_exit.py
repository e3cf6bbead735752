"""A process that has compared predictions ends with its own status, also on a busy machine."""

import subprocess
import sys

import pytest

from tests.project import Project

READ = """
import psutil
from sentiment.experiments.comparison import read_predictions
from sentiment.experiments.revisions import Revision, WORKSPACE

n_before = psutil.Process().num_threads()
n_rows = len(read_predictions(Revision(WORKSPACE), "val"))
print(n_rows > 0, psutil.Process().num_threads() - n_before)
"""


@pytest.mark.slow
def test_no_thread_of_arrow_can_abort_the_process(completed_project: Project) -> None:
    """One that lets go of Python's memory while Python ends aborts it: one process in hundreds, so threads are counted.

    apache/arrow#34314
    """
    done = subprocess.run(
        [sys.executable, "-c", READ], cwd=completed_project.root, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["True", "0"], done.stderr
