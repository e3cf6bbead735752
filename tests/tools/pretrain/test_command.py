"""`python -m tools.pretrain` with a source encoder of random weights: what it writes, and what it refuses."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from sentiment.common.command import run_main
from tests.command_call import call_command
from tests.project import ROOT
from tests.tools.encoder_checks import (
    COLUMNS,
    PARAMS,
    SAMPLE,
    assert_lists_train_split,
    assert_loads_with_transformers,
)
from tools.pretrain.__main__ import command

WRITTEN = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "trained_on.npy"]


@dataclass(frozen=True)
class PretrainRun:
    """How `python -m tools.pretrain` ended, and the folder that it was to write."""

    status: int
    stderr: str
    folder: Path


RunPretrain = Callable[..., PretrainRun]


@pytest.fixture
def run_pretrain(
    source_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> RunPretrain:
    """Run three steps of pretraining into a folder of `tmp_path`; later arguments override earlier ones."""

    def call(name: str, *more: object, reviews: Path = SAMPLE) -> PretrainRun:
        monkeypatch.chdir(ROOT)
        folder = tmp_path / name
        arguments = ["--reviews", reviews, "--source-encoder", source_encoder, "--out", folder]
        arguments += ["--params", PARAMS, "--device", "cpu", "--steps", 3, *more]
        return PretrainRun(*call_command(lambda: run_main(lambda: command(list(map(str, arguments)))), caplog), folder)

    return call


def test_equal_seeds_give_equal_bytes_and_another_seed_other_weights(run_pretrain: RunPretrain, tmp_path: Path) -> None:
    first = run_pretrain("first")
    assert first.status == 0, first.stderr
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "README.md").write_text("a model card")
    second, other = run_pretrain("second"), run_pretrain("other", "--seed", 1)
    assert sorted(path.name for path in first.folder.iterdir()) == WRITTEN
    for name in WRITTEN:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name
    assert (second.folder / "README.md").read_text() == "a model card"
    weights = (first.folder / "model.safetensors").read_bytes()
    assert weights != (other.folder / "model.safetensors").read_bytes()
    assert sha256(weights).hexdigest() in first.stderr
    assert_loads_with_transformers(first.folder)


def test_trained_on_lists_the_hashes_of_the_train_split(run_pretrain: RunPretrain) -> None:
    assert_lists_train_split(np.load(run_pretrain("encoder").folder / "trained_on.npy"), SAMPLE)


def test_a_file_without_ratings_gives_the_same_bytes(run_pretrain: RunPretrain, tmp_path: Path) -> None:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "texts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    with_ratings = run_pretrain("with_ratings")
    without = run_pretrain("without", reviews=tmp_path / "texts.csv")
    assert without.status == 0, without.stderr
    for name in WRITTEN:
        assert (with_ratings.folder / name).read_bytes() == (without.folder / name).read_bytes(), name


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--source-encoder", "no-such"], "source encoder 'no-such' is not a folder and not an installed package"),
        (["--source-encoder", ROOT / "tests"], "config.json: no such file"),
        (["--steps", 0], "must be above 0"),
        (["--reviews", ROOT / "none.csv"], "none.csv: no such file"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(run_pretrain: RunPretrain, more: list[object], message: str) -> None:
    outcome = run_pretrain("encoder", *more)
    assert outcome.status == 1
    assert message in outcome.stderr
    assert "\n" not in outcome.stderr
    assert not outcome.folder.exists()


def test_reviews_without_titles_are_refused(run_pretrain: RunPretrain, tmp_path: Path) -> None:
    lines = [f",Nice and soft number {number}" for number in range(300)]
    (tmp_path / "untitled.csv").write_text("\n".join(["Title,Review Text", *lines]) + "\n", newline="\n")
    outcome = run_pretrain("encoder", reviews=tmp_path / "untitled.csv")
    assert outcome.status == 1
    assert "0 training reviews have a title, expected at least 100" in outcome.stderr
