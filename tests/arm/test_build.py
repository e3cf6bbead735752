"""What the emulated ARM Python is made of, and what its errors say; building and running it is a slow test."""

import shutil
from pathlib import Path

import pytest

from tests.arm.build import build
from tests.arm.interpreter import ArmError
from tests.arm.lock import TORCH, arm_requirements
from tests.project import ROOT


def test_requirements_are_the_pins_for_python_3_11_without_cuda() -> None:
    requirements = arm_requirements(ROOT / "requirements.txt")
    lock = (ROOT / "requirements.txt").read_text()
    assert TORCH in requirements
    assert {"numpy", "pyarrow", "pydantic-core", "tokenizers"} <= {pin.split("==")[0] for pin in requirements}
    assert not [pin for pin in requirements if pin.startswith(("nvidia-cu", "triton"))]
    assert [pin for pin in requirements if pin != TORCH and pin not in lock] == []


def test_a_machine_without_qemu_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("not a Debian system")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ArmError, match=r"^(qemu-aarch64-static is missing: apt-get install|.* needs Debian 12)"):
        build(tmp_path / "arm")
