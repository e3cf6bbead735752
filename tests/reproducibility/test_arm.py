"""Every stage writes the same bytes on aarch64, emulated by qemu, as on this machine.

Each stage runs on ARM with the inputs that this machine computed, so a failure names the stage that differs and not the
stages after it. Equal stages make equal pipelines.
"""

import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from tests.arm.build import build, check_system
from tests.arm.interpreter import ArmError, ArmPython
from tests.project import ROOT, Project, copy_reviews
from tools.process import CommandError

pytestmark = pytest.mark.slow

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
N_REVIEWS = 30  # of which the emulator encodes two in three seconds
CPUS = {
    "neon": "cortex-a72",  # neither dot products nor SVE: Raspberry Pi 4, Graviton 1
    "sve256": "max,sve-default-vector-length=32",  # bytes; SVE, int8 and bfloat16 products: like Graviton 3
}


@pytest.fixture(scope="module")
def arm_python() -> ArmPython:
    """The emulated Python in the user's cache, built by the first test that needs it."""
    try:
        check_system()
        return build()
    except (ArmError, CommandError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def native_project(project_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the real settings and some reviews of the sample, all stages run on this machine."""
    project = Project(tmp_path_factory.mktemp("native") / "project")
    shutil.copytree(project_template.root, project.root)
    shutil.copy2(ROOT / "params.yaml", project.root / "params.yaml")
    project.set_params(split={"val": 0.3, "test": 0.3})  # both labels in each
    source = project.root / yaml.safe_load((ROOT / "params.yaml").read_text())["prepare"]["source"]
    copy_reviews(source, source, N_REVIEWS)
    for name, stage in PIPELINE.items():
        remove_outputs(project.root, name)
        project.run(*shlex.split(stage["cmd"]))
    return project


def output_paths(stage: str) -> list[str]:
    """Return the paths in dvc.yaml that a stage writes: outs, metrics and plots."""
    entries = [entry for key in ("outs", "metrics", "plots") for entry in PIPELINE[stage].get(key, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def output_files(root: Path, stage: str) -> dict[str, bytes]:
    """Return the content of every file that a stage wrote, by its path in the project."""
    paths = [root / name for name in output_paths(stage)]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def remove_outputs(root: Path, stage: str) -> None:
    for path in (root / name for name in output_paths(stage)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@pytest.mark.parametrize("stage", PIPELINE)
@pytest.mark.parametrize("cpu", CPUS.values(), ids=CPUS)
def test_stage_on_arm_writes_the_bytes_of_this_machine(
    arm_python: ArmPython, native_project: Project, tmp_path: Path, cpu: str, stage: str
) -> None:
    root = tmp_path / "project"
    shutil.copytree(native_project.root, root)
    remove_outputs(root, stage)

    program, *arguments = shlex.split(PIPELINE[stage]["cmd"])
    assert program == "python"
    done = arm_python.run(arguments, root, cpu=cpu)
    assert done.returncode == 0, done.stderr

    native, arm = output_files(native_project.root, stage), output_files(root, stage)
    assert native
    assert arm.keys() == native.keys()
    differing = [name for name in sorted(native) if arm[name] != native[name]]
    assert not differing, f"not the same bytes on ARM ({cpu}): {', '.join(differing)}"


def test_the_interpreter_is_aarch64(arm_python: ArmPython, tmp_path: Path) -> None:
    done = arm_python.run(["-c", "import platform, torch; print(platform.machine(), torch.__version__)"], tmp_path)
    assert done.stdout.split()[0] == "aarch64", done.stderr


def test_a_command_that_takes_too_long_is_ended_with_one_line(arm_python: ArmPython, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not done after 2 s"):
        arm_python.run(["-c", "import time; time.sleep(60)"], tmp_path, timeout=2)
