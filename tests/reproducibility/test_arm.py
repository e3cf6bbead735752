"""The stages write the same bytes on aarch64, emulated by qemu, as on this machine.

They run in one emulated process, for each interpreter needs half a minute to import the libraries.
"""

import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from tests.arm.build import build, check_system
from tests.arm.interpreter import ArmError, ArmPython
from tests.pipeline_run import assert_same_outputs, remove_outputs, stages_of
from tests.project import ROOT, Project, copy_reviews
from tools.process import CommandError

pytestmark = pytest.mark.slow

N_REVIEWS = 14  # the first reviews of the sample with both labels in each split; the emulator encodes one in seconds
STAGES = [*stages_of(ROOT)]
COMPUTING = ["encode", "train", "check", "evaluate"]  # the others copy, count and hash
RUNS = {  # processor, stages, SENTIMENT_INT8, SENTIMENT_KERNELS
    # neither dot products nor SVE: Raspberry Pi 4, Graviton 1. The emulator compiles the kernels in two minutes, once
    "neon": ("cortex-a72", STAGES, "auto", "always"),
    # bytes; SVE, int8 and bfloat16 products: like Graviton 3. To time both products takes longer than to encode.
    # Signed pointers are emulated by a short code of qemu's own
    "sve256": ("max,sve-default-vector-length=32,pauth-impdef=on", COMPUTING, "native", "never"),
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
    # both labels in each split; one penalty, for 16 take as long as all else
    project.set_params(split={"val": 0.3, "test": 0.3}, train={"l2": 0.1}, check={"cases": 4})
    source = project.root / yaml.safe_load((ROOT / "params.yaml").read_text())["prepare"]["source"]
    copy_reviews(source, source, N_REVIEWS)
    for name, stage in stages_of(project.root).items():
        remove_outputs(project.root, name)
        project.run(*shlex.split(stage["cmd"]))
    return project


@pytest.mark.parametrize(("cpu", "stages", "int8", "kernels"), RUNS.values(), ids=RUNS)
def test_stages_on_arm_write_the_bytes_of_this_machine(
    arm_python: ArmPython,
    native_project: Project,
    tmp_path: Path,
    cpu: str,
    stages: list[str],
    int8: str,
    kernels: str,
) -> None:
    root = tmp_path / "project"
    shutil.copytree(native_project.root, root)
    for stage in stages:
        remove_outputs(root, stage)

    command = ["-m", "tests.pipeline_run", str(root), "--stages", *stages]
    done = arm_python.run(command, root, cpu=cpu, SENTIMENT_INT8=int8, SENTIMENT_KERNELS=kernels)
    assert done.returncode == 0, done.stderr
    assert "runs on aarch64" in done.stderr
    assert_same_outputs(native_project.root, root, stages, f"ARM ({cpu})")


def test_a_command_that_takes_too_long_is_ended_with_one_line(arm_python: ArmPython, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not done after 2 s"):
        arm_python.run(["-c", "import time; time.sleep(60)"], tmp_path, timeout=2)
