"""Training itself: the same bytes for the same seed, batches by length, the best epoch, and what stops it."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sentiment.encoder.loading import load_auto_model
from sentiment.finetuning.model import EncoderWithHead
from sentiment.finetuning.settings import FinetuneParams
from sentiment.finetuning.training import batches_by_length, finetune, rating_thresholds, read_dataset, validate
from tests.finetuning.conftest import Finetune
from tests.project import DEFAULTS, Project
from tests.random_encoders import forget_tokenizer_class

MAX_SECONDS = 120  # until a process that trains was seen to train


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_equal_seeds_give_equal_bytes_and_another_seed_other_weights(
    run_finetune: Finetune, bert: Path, tmp_path: Path
) -> None:
    for name, seed in (("first", 0), ("second", 0), ("other", 1)):
        assert run_finetune(name, bert, seed=seed).status == 0
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    assert contents(tmp_path / "first-log") == contents(tmp_path / "second-log")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "other")]
    assert weights[0] != weights[1]


def test_the_weights_of_the_best_epoch_are_kept(bert: Path, split: Path) -> None:
    """Val has the opposite labels, so that the model gets worse on it while it learns."""
    torch.manual_seed(0)
    defaults = yaml.safe_load((DEFAULTS / "params.yaml").read_text())["finetune"]
    params = FinetuneParams(**{**defaults, "frozen": (), "epochs": 3, "learning_rate": 0.01})
    tokenizer, encoder = load_auto_model(bert)
    model = EncoderWithHead(encoder, "mean", 1, 0.0)
    train, val = (
        read_dataset(split / f"{name}.parquet", lambda texts: tokenizer(texts)["input_ids"], [])
        for name in ("train", "val")
    )
    val = replace(val, targets=1 - val.targets)
    epochs = list(finetune(model, train, val, 0, params, lambda loss, n: None))
    losses = [epoch.val_loss for epoch in epochs]
    assert losses[-1] != min(losses), "else this test shows nothing"
    assert validate(model, val, 0)[0] == pytest.approx(min(losses), abs=1e-6)
    assert [epoch.improved for epoch in epochs] == [
        loss < min(losses[:at], default=9) for at, loss in enumerate(losses)
    ]


def test_batches_hold_every_text_once_and_texts_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(5, 128, 10_000)
    first, second = (list(batches_by_length(lengths, 32, np.random.default_rng(1))) for _ in range(2))
    assert sorted(np.concatenate(first).tolist()) == list(range(10_000))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    padded = sum(len(batch) * lengths[batch].max() for batch in first)
    assert padded < 1.1 * lengths.sum()
    means = [lengths[batch].mean() for batch in first]
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.2, "batches do not come by length"


def test_the_targets_are_the_label_and_the_thresholds_of_the_rating(split: Path) -> None:
    table = split / "train.parquet"
    thresholds = rating_thresholds(table)
    assert thresholds == [1, 2, 3, 4]
    dataset = read_dataset(table, lambda texts: [[0] * len(text) for text in texts], thresholds)
    assert dataset.targets.shape == (192, 5)
    assert (dataset.targets[:, 0] == dataset.targets[:, 3]).all(), "the label is a rating above 3"
    assert (np.diff(dataset.targets[:, 1:], axis=1) <= 0).all()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"learning_rate": 1e30}, "training diverged at finetune.learning_rate 1e+30; try a smaller one"),
        ({"max_length": 65}, "encode.max_length is 65, but '"),
        ({"pooling": "sum"}, "encode.pooling is 'sum', expected 'cls', 'mean', 'max' or 'mean+max'"),
        ({"epochs": -1}, "finetune.epochs is -1, expected greater than or equal to 0"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    run_finetune: Finetune, bert: Path, tmp_path: Path, keys: dict[str, object], message: str
) -> None:
    done = run_finetune("out", bert, **keys)
    assert done.status == 1
    assert message in done.stderr
    assert "\n" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_encoder_that_cannot_be_loaded_is_one_line(run_finetune: Finetune, albert: Path, tmp_path: Path) -> None:
    """Without the name of its class, transformers fails on this tokenizer with a TypeError."""
    broken = Path(shutil.copytree(albert, tmp_path / "broken"))
    forget_tokenizer_class(broken)
    done = run_finetune("out", broken)
    assert done.status == 1
    assert f"finetune.encoder '{broken}' could not be loaded: " in done.stderr
    assert "\n" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_killed_or_stopped_training_leaves_no_half_folder(
    project: Project, bert: Path, split: Path, number: signal.Signals, status: int
) -> None:
    project.set_params(finetune={"encoder": str(bert), "epochs": 100_000, "device": "cpu"}, encode={"max_length": 32})
    command = ["python", "-m", "stages.finetune", "--split", str(split), "--output", "models/encoder", "--log", "log"]
    environment = project.environment(OMP_NUM_THREADS="1")
    process = subprocess.Popen(
        command,
        cwd=project.root,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # background shells ignore it
    )
    try:
        wait_for(project.root / "log" / "metrics.json")  # written after each epoch
        os.kill(process.pid, number)
        _, stderr = process.communicate(timeout=MAX_SECONDS)
    finally:
        process.kill()
    assert process.returncode == status
    assert "Traceback" not in stderr
    assert not (project.root / "models" / "encoder").exists()
    project.set_params(finetune={"epochs": 0})
    project.run(*command)
    models = project.root / "models"
    assert sorted(path.name for path in models.iterdir()) == ["encoder", "encoders"], "what was left is removed"
    assert contents(models / "encoder") == contents(bert)


def wait_for(file: Path) -> None:
    end = time.monotonic() + MAX_SECONDS
    while not file.exists():
        assert time.monotonic() < end, f"no {file} after {MAX_SECONDS} s"
        time.sleep(0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_gives_the_same_bytes_twice(run_finetune: Finetune, bert: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert run_finetune(name, bert, device="cuda").status == 0
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
