"""The benchmark of `sentiment batch` runs and prints a figure of each kind; how fast is not for tests."""

import re
import sys

import pytest

from tests.project import Project


@pytest.mark.slow
def test_throughput_overhead_and_memory_are_measured(completed_template: Project) -> None:
    options = ("--units", "20", "--rows", "200", "--engine", "local")
    printed = completed_template.run(sys.executable, "-m", "benchmarks.shards", *options).stdout
    assert len(re.findall(r"^.*: -?[\d,]+ rows/s, -?[\d.]+ of one process$", printed, re.MULTILINE)) == 1
    assert re.search(
        r"^local: -?[\d.]+ ms per unit .*; driver \d+ MiB and \d+ MiB for 4 and 20 units$", printed, re.MULTILINE
    )
