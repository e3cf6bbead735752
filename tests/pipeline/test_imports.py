"""No command waits for a library that it does not use; each of these takes seconds to import."""

import re
import shlex
from collections.abc import Sequence

import pytest
import yaml

from tests.project import ROOT, Project

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
SLOW = {"torch", "numba", "transformers", "sklearn", "dvc", "boto3", "dvclive"}
USED = {
    "prepare": set(),
    "split": set(),
    "finetune": set(),
    "encode": {"torch"},  # numba only for many tokens
    "train": {"dvclive", "dvc"},  # the first imports the second
    "check": {"torch"},
    "evaluate": set(),
}


def slow_imports(project: Project, *command: str) -> set[str]:
    """Run a Python command and return which of the slow libraries it imported."""
    # python -X importtime: "import time: self [us] | cumulative | imported package"
    done = project.run(*command, PYTHONPROFILEIMPORTTIME="1")
    lines = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert len(lines) > 50, "else nothing was recorded"
    return {line[2].strip() for line in lines} & SLOW


def test_no_import_hides_from_the_reader_of_imports() -> None:
    """Imports by name, and an edited path, evade import-linter and the test of the deps in dvc.yaml."""
    for folder in ("sentiment", "stages", "tools", "benchmarks"):
        for module in (ROOT / folder).rglob("*.py"):
            hidden = re.search(r"import_module|__import__|sys\.path\b", module.read_text(encoding="utf-8"))
            assert hidden is None, f"{module}: {hidden}"


def test_every_stage_is_measured() -> None:
    assert set(USED) == set(PIPELINE)


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_imports_only_the_slow_libraries_that_it_uses(completed_project: Project, stage: str) -> None:
    assert slow_imports(completed_project, *shlex.split(PIPELINE[stage]["cmd"])) == USED[stage]


@pytest.mark.parametrize(
    ("command", "used"),
    [
        (["sentiment", "predict", "--help"], set()),
        (["sentiment", "predict", "Soft and warm"], {"torch"}),
        (["sentiment", "compare", "--help"], set()),
        (["sentiment", "baseline", "--help"], set()),
    ],
)
def test_other_commands(completed_project: Project, command: Sequence[str], used: set[str]) -> None:
    assert slow_imports(completed_project, "python", "-m", *command) == used
