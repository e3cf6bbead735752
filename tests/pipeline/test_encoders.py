"""Encoders are folders that DVC sees: what changes in them re-runs what depends on it, and nothing else does."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from sentiment.data.text import hash_texts, write_seen_texts
from tests.pipeline.test_commands import stages_run
from tests.project import Project


@pytest.mark.slow
def test_one_byte_of_the_weights_runs_finetune_and_encode_again(completed_project: Project) -> None:
    weights = completed_project.root / "models/encoders/reviews-albert/model.safetensors"
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
    completed_project.set_params(train={"threshold": 0.7})
    assert stages_run(completed_project.run("dvc", "repro").stdout) == ["train", "check", "evaluate"]


@pytest.mark.slow
def test_another_salt_with_an_encoder_that_was_trained_on_reviews_stops_the_run(completed_project: Project) -> None:
    """As one that was fine-tuned on the split of the first salt."""
    root = completed_project.root
    ours = shutil.copytree(root / "models/encoders/reviews-albert", root / "models/encoders/ours")
    texts = pq.read_table(root / "data/split/train.parquet")["text"].to_pylist()
    write_seen_texts(ours, hash_texts(texts))
    completed_project.set_params(finetune={"encoder": "models/encoders/ours"})
    completed_project.run("dvc", "repro")
    for split in ("val", "test"):
        assert json.loads((root / f"metrics/{split}.json").read_text())["reviews_seen_by_encoder"] == 0

    completed_project.set_params(split={"salt": "reviews-v2"})
    done = completed_project.run("dvc", "repro", check=False)
    assert "failed to reproduce 'evaluate'" in done.stderr
    seen = []
    for split in ("val", "test"):
        hashes = hash_texts(pq.read_table(root / f"data/split/{split}.parquet")["text"].to_pylist())
        n_seen = int(np.isin(hashes, hash_texts(texts)).sum())
        assert n_seen > 100
        seen.append(f"{n_seen} of the {len(hashes)} {split} reviews")
    assert f"the encoder was trained on {' and '.join(seen)}; use" in done.stderr


@pytest.mark.slow
def test_another_folder_with_the_same_files_runs_finetune_alone(completed_project: Project) -> None:
    """What it writes did not change, so nothing that reads it does."""
    encoders = completed_project.root / "models/encoders"
    (encoders / "reviews-albert").rename(encoders / "ours")
    ran = completed_project.run("dvc", "exp", "run", "-S", "finetune.encoder=models/encoders/ours").stdout
    assert stages_run(ran) == ["finetune"]
