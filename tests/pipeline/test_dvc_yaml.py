"""dvc.yaml tells the truth about the code: every module and every key that a stage reads."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.project import ROOT, Project

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# runs a stage, which ends where it would see that an input has changed, with what it watches
WATCHED = """
import runpy, sys
from sentiment.common.errors import InputError
from sentiment.common.params import StageInputs

watched, watch = [], StageInputs.watch

def note(self, *paths):
    watched.extend(map(str, paths))
    watch(self, *paths)

def stop(self):
    raise InputError("watched " + " ".join(watched))

StageInputs.watch, StageInputs.check_unchanged = note, stop
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def imported(module: Path) -> set[Path]:
    """Files of this project that a module imports, with itself and those of its imports, and templates they name."""
    found, waiting = set(), [module]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Constant) and str(node.value).endswith(".j2"):
                found.add(path.parent / str(node.value))
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} imports relatively, which this walk does not follow"
                names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            waiting += [file for name in names if (file := ROOT / f"{name.replace('.', '/')}.py").is_file()]
    return found


def code_deps(stage: str) -> list[Path]:
    """Return the deps of a stage that are code: its module, and folders or modules of the library."""
    return [ROOT / dep for dep in PIPELINE[stage]["deps"] if dep.startswith(("stages/", "sentiment/"))]


def covers(dep: Path, module: Path) -> bool:
    return dep == module or dep in module.parents


@pytest.mark.parametrize("stage", PIPELINE)
def test_every_import_of_a_stage_is_under_one_of_its_deps(stage: str) -> None:
    modules = imported(ROOT / "stages" / f"{stage}.py")
    outside = [str(module) for module in modules if not any(covers(dep, module) for dep in code_deps(stage))]
    assert outside == []


@pytest.mark.parametrize("stage", PIPELINE)
def test_every_module_under_the_code_deps_of_a_stage_is_imported_by_it(stage: str) -> None:
    """Else a comment in what only the server uses would run a fine-tuning again."""
    modules = imported(ROOT / "stages" / f"{stage}.py")
    files = [file for dep in code_deps(stage) for file in ([dep] if dep.is_file() else dep.rglob("*.py"))]
    assert len(files) >= len(code_deps(stage))
    assert [str(file) for file in files if file not in modules and file.name != "__init__.py"] == []


def test_packages_describe_themselves_and_hold_no_code() -> None:
    """Code in an __init__.py could change a result without a stage running again.

    sentiment/__init__.py alone imports a name when it is asked for; stages/__init__.py ends a Python without packages.
    """
    packages = [path for top in ("stages", "sentiment", "tools") for path in (ROOT / top).rglob("__init__.py")]
    assert len(packages) > 10
    for path in packages:
        module = ast.parse(path.read_text())
        assert ast.get_docstring(module), path
        if path.parent not in (ROOT / "sentiment", ROOT / "stages"):
            assert all(isinstance(node, ast.Expr) for node in module.body), path


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_reads_no_key_that_its_params_do_not_list(completed_project: Project, stage: str) -> None:
    params = yaml.safe_load((completed_project.root / "params.yaml").read_text())
    listed: dict[str, dict[str, object]] = {}
    for key in PIPELINE[stage]["params"]:
        section, _, name = key.partition(".")
        if name:
            listed.setdefault(section, {})[name] = params[section][name]
        else:
            listed[section] = params[section]
    (completed_project.root / "params.yaml").write_text(yaml.safe_dump(listed))
    completed_project.run(*shlex.split(PIPELINE[stage]["cmd"]))


def test_numbers_are_in_params_and_not_in_commands() -> None:
    for stage in PIPELINE.values():
        assert not any(character.isdigit() for character in stage["cmd"])


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_is_run_by_pages_and_its_own_help_with_the_arguments_of_dvc_yaml(stage: str) -> None:
    command = " ".join(PIPELINE[stage]["cmd"].split()).removeprefix("python ")
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), ROOT / f"stages/{stage}.py"]
    texts = [" ".join(page.read_text(encoding="utf-8").replace("\\\n", " ").split()) for page in pages]
    shown = [text[match.start() :] for text in texts for match in re.finditer(rf"-m stages\.{stage} --", text)]
    assert shown
    assert [text[:200] for text in shown if not text.startswith(command)] == []


@pytest.mark.slow
@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_sees_at_its_end_whether_data_that_it_reads_has_changed(completed_project: Project, stage: str) -> None:
    locked = yaml.safe_load((completed_project.root / "dvc.lock").read_text())["stages"][stage]
    words = shlex.split(locked["cmd"])[2:]  # after "python -m"
    done = completed_project.run("python", "-c", WATCHED, *words, check=False)
    assert done.returncode == 1, done.stderr
    watched = [Path(word) for word in done.stderr.rpartition("error: watched")[2].split()]
    data = [Path(dep["path"]) for dep in locked["deps"] if not dep["path"].startswith(("stages/", "sentiment/"))]
    assert [dep for dep in data if not any(covers(dep, one) or covers(one, dep) for one in watched)] == []
