"""Reads a tokenizer from an encoder's folder without transformers, where tokenizer.json describes it completely."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from sentiment.common.errors import EncoderError

PLAIN_CLASSES = {"TokenizersBackend", "PreTrainedTokenizerFast"}  # tokenizer.json, and nothing else
BERT_CLASSES = {"BertTokenizer", "BertTokenizerFast"}  # these build their normalizer from tokenizer_config.json
# how tokenizer_config.json names the settings of BERT's normalizer, and their defaults
BERT_SETTINGS = {
    "lowercase": ("do_lower_case", True),
    "strip_accents": ("strip_accents", None),
    "handle_chinese_chars": ("tokenize_chinese_chars", True),
}
BERT_NORMALIZER = {"type": "BertNormalizer", "clean_text": True}


def load_local_tokenizer(folder: Path) -> Tokenizer | None:
    """Return the tokenizer of a folder; None where its class builds it from more than tokenizer.json.

    Raises:
        EncoderError: tokenizer.json is damaged.
    """
    file, settings_file = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if not (file.is_file() and settings_file.is_file()):
        return None
    settings = json.loads(settings_file.read_text(encoding="utf-8"))
    name = settings.get("tokenizer_class")
    if name in BERT_CLASSES:
        if not is_plain_bert(json.loads(file.read_text(encoding="utf-8")), settings):
            return None
    elif name not in PLAIN_CLASSES:
        return None
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises no narrower class
        raise EncoderError(f"{file}: not a tokenizer ({error})") from None


def is_plain_bert(tokenizer: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Return whether BERT's tokenizer class would build from `settings` just what tokenizer.json holds."""
    normalizer = {key: settings.get(name, default) for key, (name, default) in BERT_SETTINGS.items()}
    model, pre_tokenizer = tokenizer.get("model") or {}, tokenizer.get("pre_tokenizer") or {}
    return (
        tokenizer.get("normalizer") == {**BERT_NORMALIZER, **normalizer}
        and pre_tokenizer.get("type") == "BertPreTokenizer"
        and model.get("type") == "WordPiece"
    )


def canonical_json(tokenizer: Tokenizer) -> str:
    """Return everything that decides a tokenizer's ids, as text that does not depend on the order of its keys.

    Truncation and padding are left out: they are set from `encode.max_length`.
    """
    content = json.loads(tokenizer.to_str())
    return json.dumps(
        {key: value for key, value in content.items() if key not in ("truncation", "padding")}, sort_keys=True
    )
