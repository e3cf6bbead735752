"""Tests are marked by what they start, so that `make test-fast` leaves them out."""

import sys

import pytest

from tests.project import ROOT, Project


@pytest.mark.parametrize(
    ("marker", "marked", "unmarked"),
    [
        ("s3", "tests/storage/test_sharing.py", "tests/serving/test_huggingface.py"),
        ("server", "tests/serving/test_huggingface.py", "tests/storage/test_sharing.py"),
    ],
)
def test_a_marker_selects_the_tests_that_start_what_it_names(marker: str, marked: str, unmarked: str) -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", "-m", marker]
    collected = Project(ROOT).run(*command, marked, unmarked, PYTEST_XDIST_WORKER="").stdout
    assert f"{marked}::" in collected or f"{marked}: " in collected
    assert unmarked not in collected
