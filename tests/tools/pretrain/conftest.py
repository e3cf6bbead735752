"""A source encoder of random weights."""

import re
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import BertConfig, PreTrainedTokenizerFast

from tests.random_encoders import random_model
from tests.tools.encoder_checks import SAMPLE
from tools.pretrain.corpus import SPECIAL_TOKENS


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
