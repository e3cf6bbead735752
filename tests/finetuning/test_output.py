"""What fine-tuning writes: a standard Hugging Face folder, its card, the list of its texts, and curves by epoch."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from sentiment.data.text import hash_texts, read_seen_texts, write_seen_texts
from sentiment.encoder.config import EncoderConfig
from sentiment.encoder.frozen import FrozenEncoder
from tests.finetuning.conftest import SIZES, Finetune, reviews, write_table
from tests.project import BUNDLED

FILES = ["README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "trained_on.npy"]
N_EPOCHS = 6


def train_texts(split: Path) -> list[str]:
    return [str(text) for text in pq.read_table(split / "train.parquet")["text"].to_pylist()]


def test_the_output_is_a_folder_that_auto_model_loads_and_encode_reads(
    run_finetune: Finetune, bert: Path, tmp_path: Path
) -> None:
    done = run_finetune("out", bert)
    assert done.status == 0, done.stderr
    assert "finetune: kept epoch 1 of 0 to 1: val loss" in done.stderr
    folder = tmp_path / "out"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    model, report = AutoModel.from_pretrained(
        folder, local_files_only=True, add_pooling_layer=False, output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokens = AutoTokenizer.from_pretrained(folder, local_files_only=True)(["soft and warm"], return_tensors="pt")
    with torch.inference_mode():
        expected = model.train(False)(**tokens).last_hidden_state.mean(1).numpy()
    config = EncoderConfig(max_length=32, pooling="mean", precision="float32")
    np.testing.assert_allclose(FrozenEncoder.load(folder, config, "cpu").encode(["soft and warm"]), expected, atol=1e-5)
    assert (folder / "tokenizer.json").read_bytes() == (bert / "tokenizer.json").read_bytes()
    assert str(tmp_path) not in (folder / "config.json").read_text(), "a path of this machine"


def test_losses_and_accuracies_by_epoch_and_the_best_one(run_finetune: Finetune, bert: Path, tmp_path: Path) -> None:
    run_finetune("out", bert, epochs=N_EPOCHS, batch_size=16, learning_rate=0.01)
    log = tmp_path / "out-log"
    metrics = json.loads((log / "metrics.json").read_text())
    with (log / "loss.csv").open() as file:
        losses = list(csv.DictReader(file))
    assert [(row["step"], row["split"]) for row in losses] == [
        (str(epoch), split) for epoch in range(N_EPOCHS) for split in ("train", "val")
    ]
    val = [float(row["loss"]) for row in losses if row["split"] == "val"]
    assert metrics["best"] == {"epoch": int(np.argmin(val)), "val_loss": min(val)}
    assert val[-1] < val[0] / 2, "the texts give the label away"
    assert metrics["val"]["accuracy"] > 0.95
    assert sorted(path.name for path in log.iterdir()) == ["accuracy.csv", "loss.csv", "metrics.json"]


def test_no_epoch_gives_empty_curves_and_the_encoder_byte_for_byte(
    run_finetune: Finetune, bert: Path, tmp_path: Path
) -> None:
    assert run_finetune("out", bert, epochs=0).status == 0
    assert json.loads((tmp_path / "out-log" / "metrics.json").read_text()) == {}
    assert (tmp_path / "out-log" / "loss.csv").read_text() == "step,split,loss\n"
    for path in bert.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_the_card_says_what_was_trained(run_finetune: Finetune, bert: Path, tmp_path: Path) -> None:
    run_finetune("out", bert, frozen=["embeddings", 0])
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert f"trained on the label of {SIZES['train']} reviews, and on whether their rating is above 1, 2, 3, 4" in card
    assert "| frozen parts | embeddings, 0 |" in card


def test_two_ratings_add_no_targets_to_the_label(
    run_finetune: Finetune, bert: Path, split: Path, tmp_path: Path
) -> None:
    rows = [{**row, "rating": row["label"]} for row in reviews("train", 64)]
    for name in ("train", "val"):
        write_table(tmp_path / "binary" / f"{name}.parquet", rows)
    run_finetune("out", bert, tmp_path / "binary", epochs=1)
    assert "trained on the label of 64 reviews." in (tmp_path / "out" / "README.md").read_text()
    run_finetune("label", bert, split, epochs=1, rating_targets=False)
    assert "rating is above" not in (tmp_path / "label" / "README.md").read_text()


@pytest.mark.parametrize("listed", [[], ["a text of an earlier training", "lovely, dress number train 1"]])
def test_the_list_of_texts_grows_by_those_of_train(
    run_finetune: Finetune, bert: Path, split: Path, tmp_path: Path, listed: list[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path in bert.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    if listed:
        write_seen_texts(source, hash_texts(listed))
    run_finetune("out", source, epochs=1)
    hashes = read_seen_texts(tmp_path / "out")
    assert set(hashes.tolist()) == set(hash_texts([*listed, *train_texts(split)]).tolist())
    assert (np.diff(hashes.astype(np.float64)) >= 0).all()


def test_the_bundled_encoder_can_be_fine_tuned(run_finetune: Finetune, tmp_path: Path) -> None:
    done = run_finetune("out", BUNDLED, epochs=1)
    assert done.status == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
