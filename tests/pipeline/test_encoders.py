"""Encoders are folders that DVC sees: what changes in them re-runs what depends on it, and nothing else does."""

import json

from tests.conftest import Project
from tests.pipeline.test_commands import stages_run


def test_one_byte_of_the_weights_runs_finetune_and_encode_again(completed_project: Project) -> None:
    weights = completed_project.root / "models/encoders/bundled/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1  # the last bit of a float16
    weights.write_bytes(content)
    before = json.loads((completed_project.root / "data/encode/config.json").read_text())["fingerprint"]
    ran = completed_project.run("dvc", "repro", "train").stdout
    assert stages_run(ran) == ["finetune", "encode", "train"]
    after = json.loads((completed_project.root / "data/encode/config.json").read_text())["fingerprint"]
    assert before != after
    assert (completed_project.root / "models/encoder/model.safetensors").read_bytes() == content


def test_a_key_of_train_runs_neither(completed_project: Project) -> None:
    ran = completed_project.run("dvc", "repro", "train").stdout
    assert stages_run(ran) == []
    completed_project.set_params(train={"learning_rate": 0.01})
    assert stages_run(completed_project.run("dvc", "repro").stdout) == ["train", "evaluate"]


def test_another_folder_with_the_same_files_runs_finetune_alone(completed_project: Project) -> None:
    """What it writes did not change, so nothing that reads it does."""
    encoders = completed_project.root / "models/encoders"
    (encoders / "bundled").rename(encoders / "ours")
    ran = completed_project.run("dvc", "exp", "run", "-S", "finetune.encoder=models/encoders/ours").stdout
    assert stages_run(ran) == ["finetune"]
