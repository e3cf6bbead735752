"""The texts that `sentiment predict --help` shows get the labels that a reader expects, by the default pipeline."""

import csv
import io
import re
import shlex

import pytest

from tests.project import Project, make_project

EXPECTED = ["positive", "negative"]  # of the texts of each example, in order


@pytest.fixture(scope="module")
def default_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The pipeline on the sample with default params, as a newcomer has it after `make repro`."""
    project = make_project(tmp_path_factory.mktemp("default") / "project", {})
    project.run("dvc", "repro", "-q")
    return project


@pytest.mark.slow
def test_the_texts_of_the_help_are_labeled_correctly(default_project: Project) -> None:
    shown = default_project.run("sentiment", "predict", "--help").stdout
    commands = [shlex.split(line) for line in re.findall(r'^ +(sentiment predict ".*)$', shown, re.MULTILINE)]
    assert commands
    for pair in [command[2:] for command in commands]:
        table = csv.DictReader(io.StringIO(default_project.run("sentiment", "predict", *pair).stdout))
        assert [row["sentiment"] for row in table] == EXPECTED, pair
