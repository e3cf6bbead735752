"""The bundled encoder: its size, the texts that it lists, and what its card says."""

from hashlib import sha256
from pathlib import Path

import numpy as np

from sentiment.common.text_hash import read_seen_texts
from tests.project import BUNDLED
from tests.tools.pretrain.conftest import assert_lists_train_split, assert_loads_with_transformers


def test_the_bundled_encoder_loads_and_has_at_most_5_mb() -> None:
    assert_loads_with_transformers(BUNDLED)
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) <= 5_000_000


def test_the_bundled_encoder_lists_its_texts_in_ascending_order_each_once() -> None:
    listed = read_seen_texts(BUNDLED)
    assert len(listed) == 18_035
    assert (listed[1:] > listed[:-1]).all()


def test_the_bundled_encoder_lists_the_train_split_of_the_real_reviews(reviews_csv: Path) -> None:
    assert_lists_train_split(np.load(BUNDLED / "trained_on.npy"), reviews_csv)


def test_the_model_card_names_the_sha256_of_the_weights() -> None:
    assert sha256((BUNDLED / "model.safetensors").read_bytes()).hexdigest() in (BUNDLED / "README.md").read_text()
