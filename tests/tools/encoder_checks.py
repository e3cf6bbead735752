"""What holds for every encoder that a tool writes, or that is in git."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from sentiment.common.params import load_params
from sentiment.data.readers import read_texts
from sentiment.data.splitting import SplitParams, assign_split, text_hash
from sentiment.data.text import hash_texts
from tests.project import DEFAULTS, ROOT

SAMPLE, PARAMS = ROOT / "data/raw/sample.csv", DEFAULTS / "params.yaml"
COLUMNS = ["Title", "Review Text"]
SPLIT_PARAMS = load_params(PARAMS, "split", SplitParams)


def assert_loads_with_transformers(folder: Path) -> None:
    """Assert that transformers reads a folder as an ALBERT whose tokenizer splits unseen words."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model, report = AutoModel.from_pretrained(
        folder, local_files_only=True, add_pooling_layer=False, dtype=torch.float32, output_loading_info=True
    )
    assert type(model).__name__ == "AlbertModel"
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokens = tokenizer(["Love it", "a qwxqzzy dress 😀 \u4e2d", ""], padding=True, return_tensors="pt")
    assert tokenizer.unk_token_id in tokens["input_ids"][1]
    assert len(tokenizer("qwxqzzy")["input_ids"]) > 3, "an unseen word is split into shorter tokens"
    assert torch.isfinite(model(**tokens).last_hidden_state).all()


def assert_lists_train_split(listed: NDArray[np.uint64], reviews: Path) -> None:
    """Assert that hashes, shape (n_texts,), are those of the train split of a reviews CSV, and of no other split."""
    by_split: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for text in read_texts(reviews, COLUMNS):
        by_split[assign_split(text_hash(text, SPLIT_PARAMS.salt), SPLIT_PARAMS)].append(text)
    hashes = {split: set(hash_texts(texts_of_split).tolist()) for split, texts_of_split in by_split.items()}
    assert set(listed.tolist()) == hashes["train"]
    assert not set(listed.tolist()) & (hashes["val"] | hashes["test"])
