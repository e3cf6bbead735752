"""dvc.yaml tells the truth about the code: every module and every key that a stage reads."""

import ast
import shlex
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Project

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def imported(module: Path) -> set[Path]:
    """Files of this project that a module imports, itself and those of its imports included, wherever they stand."""
    found, waiting = set(), [module]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} imports relatively, which this walk does not follow"
                names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            waiting += [file for name in names if (file := ROOT / f"{name.replace('.', '/')}.py").is_file()]
    return found


@pytest.mark.parametrize("stage", PIPELINE)
def test_deps_list_every_imported_module(stage: str) -> None:
    modules = {str(path.relative_to(ROOT)) for path in imported(ROOT / "stages" / f"{stage}.py")}
    listed = {dep for dep in PIPELINE[stage]["deps"] if dep.endswith(".py")}
    assert listed == modules


def test_packages_hold_no_code() -> None:
    """Else a change in an __init__.py could change a result without running a stage again."""
    for path in (ROOT / "stages").rglob("__init__.py"):
        assert all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text()).body), path


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_reads_no_key_that_its_params_do_not_list(finished: Project, stage: str) -> None:
    params = yaml.safe_load((finished.root / "params.yaml").read_text())
    listed: dict[str, object] = {}
    for key in PIPELINE[stage]["params"]:
        section, _, name = key.partition(".")
        if name:
            listed.setdefault(section, {})[name] = params[section][name]
        else:
            listed[section] = params[section]
    (finished.root / "params.yaml").write_text(yaml.safe_dump(listed))
    finished.run(*shlex.split(PIPELINE[stage]["cmd"]))


def test_numbers_stand_in_params_and_not_in_commands() -> None:
    for stage in PIPELINE.values():
        assert not any(character.isdigit() for character in stage["cmd"])
