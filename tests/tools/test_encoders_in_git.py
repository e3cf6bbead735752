"""The encoder with weights in git: its size, the texts that it lists, and what its card says."""

import subprocess
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest

from sentiment.data.readers import read_texts
from sentiment.data.text import hash_texts, read_seen_texts
from tests.project import BUNDLED, ROOT
from tests.tools.encoder_checks import assert_loads_with_transformers
from tools.encoder import corpus
from tools.encoder.corpus import is_held_out


def test_no_other_encoder_has_weights_in_git() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "models/encoders/*/*.safetensors"], cwd=ROOT, capture_output=True, text=True, timeout=60
    ).stdout.split()
    assert [(ROOT / path).parent for path in listed] == [BUNDLED]


def test_it_loads_and_has_at_most_5_mb() -> None:
    assert_loads_with_transformers(BUNDLED)
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) <= 5_000_000


def test_it_lists_its_texts_in_ascending_order_each_once() -> None:
    listed = read_seen_texts(BUNDLED)
    assert len(listed) > 45_000
    assert (listed[1:] > listed[:-1]).all()


def test_it_lists_the_texts_that_make_encoder_reads(public_data: Path) -> None:
    read = [text for texts in corpus.read_texts(public_data / "public").values() for text in texts]
    assert set(read_seen_texts(BUNDLED).tolist()) == set(hash_texts(read).tolist())


@pytest.mark.parametrize("name", ["uci_amazon", "uci_yelp", "uci_imdb", "restaurants", "rt_polarity"])
def test_it_read_no_set_that_judges_it(public_data: Path, name: str) -> None:
    texts = pd.read_parquet(public_data / "public" / f"{name}.parquet")["text"].tolist()
    assert not set(read_seen_texts(BUNDLED).tolist()) & set(hash_texts(texts).tolist())


def test_it_read_no_film_review_of_the_test_part_and_not_the_tenth_to_choose_by(public_data: Path) -> None:
    table = pd.read_parquet(public_data / "public/imdb.parquet")
    is_read = (table["split"] == "train") & ~table["text"].map(is_held_out)
    train, others = (set(hash_texts(table["text"][rows].tolist()).tolist()) for rows in (is_read, ~is_read))
    seen = set(read_seen_texts(BUNDLED).tolist())
    assert len(others) > 25_000
    assert not seen & others - train


def test_it_read_no_clothing_review(reviews_csv: Path) -> None:
    texts = list(read_texts(reviews_csv, ["Title", "Review Text"]))
    assert len(texts) > 20_000
    assert not set(read_seen_texts(BUNDLED).tolist()) & set(hash_texts(texts).tolist())


def test_the_model_card_names_the_sha256_of_the_weights() -> None:
    assert sha256((BUNDLED / "model.safetensors").read_bytes()).hexdigest() in (BUNDLED / "README.md").read_text()
