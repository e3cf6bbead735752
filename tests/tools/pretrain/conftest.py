"""A source encoder of random weights, and what holds for every encoder that pretraining writes."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import AutoModel, AutoTokenizer, BertConfig, PreTrainedTokenizerFast

from sentiment.common.params import load_params
from sentiment.common.text_hash import hash_texts
from sentiment.data.csv_chunks import read_chunks
from sentiment.data.splitting import SplitParams, assign_split, text_hash
from sentiment.data.text import join_text
from tests.project import DEFAULTS, ROOT
from tests.random_encoders import random_model
from tools.pretrain.vocabulary import SPECIAL_TOKENS

SAMPLE, PARAMS = ROOT / "data/raw/sample.csv", DEFAULTS / "params.yaml"
COLUMNS = ["Title", "Review Text"]
SPLIT_PARAMS = load_params(PARAMS, "split", SplitParams)


@pytest.fixture(scope="session")
def source_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT whose vocabulary is letters and the words of the sample."""
    words = sorted(set(re.findall("[a-z]+", SAMPLE.read_text(encoding="utf-8").lower())))
    letters = [prefix + letter for letter in "abcdefghijklmnopqrstuvwxyz" for prefix in ("", "##")]
    tokens = list(dict.fromkeys([*SPECIAL_TOKENS, *letters, *".,!?'", *words, "neverseen"]))
    tokenizer = Tokenizer(WordPiece({token: token_id for token_id, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    folder = tmp_path_factory.mktemp("source_encoder")
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, **dict(zip(names, SPECIAL_TOKENS, strict=True))
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokens), hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    random_model(config).save_pretrained(folder)
    return folder


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
    texts = [
        join_text(fields)
        for chunk in read_chunks(reviews, COLUMNS)
        for fields in chunk.itertuples(index=False, name=None)
    ]
    by_split: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for text in filter(None, texts):
        by_split[assign_split(text_hash(text, SPLIT_PARAMS.salt), SPLIT_PARAMS)].append(text)
    hashes = {split: set(hash_texts(texts_of_split).tolist()) for split, texts_of_split in by_split.items()}
    assert set(listed.tolist()) == hashes["train"]
    assert not set(listed.tolist()) & (hashes["val"] | hashes["test"])
