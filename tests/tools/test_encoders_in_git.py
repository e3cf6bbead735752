"""The encoders with weights in git: their size, the texts that they list, and what their cards say."""

import subprocess
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from sentiment.data.text import read_seen_texts
from tests.project import BUNDLED, ROOT
from tests.tools.encoder_checks import assert_lists_train_split, assert_loads_with_transformers

ENCODERS = [BUNDLED, BUNDLED.parent / "distilled"]

of_each_encoder = pytest.mark.parametrize("encoder", ENCODERS, ids=lambda folder: folder.name)


def test_no_other_encoder_has_weights_in_git() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "models/encoders/*/*.safetensors"], cwd=ROOT, capture_output=True, text=True, timeout=60
    ).stdout.split()
    assert sorted((ROOT / path).parent for path in listed) == ENCODERS


@of_each_encoder
def test_it_loads_and_has_at_most_5_mb(encoder: Path) -> None:
    assert_loads_with_transformers(encoder)
    assert sum(path.stat().st_size for path in encoder.iterdir()) <= 5_000_000


@of_each_encoder
def test_it_lists_its_texts_in_ascending_order_each_once(encoder: Path) -> None:
    listed = read_seen_texts(encoder)
    assert len(listed) == 18_035
    assert (listed[1:] > listed[:-1]).all()


@of_each_encoder
def test_it_lists_the_train_split_of_the_real_reviews(encoder: Path, reviews_csv: Path) -> None:
    assert_lists_train_split(np.load(encoder / "trained_on.npy"), reviews_csv)


@of_each_encoder
def test_the_model_card_names_the_sha256_of_the_weights(encoder: Path) -> None:
    assert sha256((encoder / "model.safetensors").read_bytes()).hexdigest() in (encoder / "README.md").read_text()
