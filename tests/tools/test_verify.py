"""`make verify` reruns the committed pipeline and names the first output that differs."""

import pytest

from tests.project import Project

pytestmark = pytest.mark.slow  # each runs the pipeline


def test_verify_finds_every_output_of_head_equal_and_leaves_uncommitted_changes_out(completed_project: Project) -> None:
    completed_project.set_params(train={"threshold": 0.9})
    verify = completed_project.run("python", "-m", "tools.verify")
    assert "verify: uncommitted changes are left out; this verifies HEAD" in verify.stderr
    assert "outputs have the hash of the committed dvc.lock" in verify.stderr
    assert "Running stage 'evaluate'" in verify.stdout
    assert completed_project.run("git", "status", "--short").stdout == " M params.yaml\n"


def test_verify_names_stage_and_output_of_a_changed_byte(completed_project: Project) -> None:
    file = next(path for path in sorted((completed_project.root / "data/encode").rglob("*")) if path.suffix == ".npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink()  # a link into DVC's cache
    file.write_bytes(content)
    completed_project.run("dvc", "commit", "--force", "encode")
    completed_project.commit("An output with another byte")
    verify = completed_project.run("python", "-m", "tools.verify", check=False)
    assert verify.returncode == 1
    lines = [line for line in verify.stderr.splitlines() if line.startswith("verify: ")]
    assert lines == ["verify: stage encode: data/encode differs from the committed dvc.lock"]
