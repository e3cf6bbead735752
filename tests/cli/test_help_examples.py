"""The texts that `sentiment predict --help` shows get the labels that a reader expects, by the default pipeline."""

import ast
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
    from_python = re.findall(r"predict_proba\((\[.*?\])\)", shown)
    assert commands
    assert from_python
    texts = [command[2:] for command in commands] + [ast.literal_eval(one) for one in from_python]
    for pair in texts:
        table = csv.DictReader(io.StringIO(default_project.run("sentiment", "predict", *pair).stdout))
        assert [row["sentiment"] for row in table] == EXPECTED, pair
