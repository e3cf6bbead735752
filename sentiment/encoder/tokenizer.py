"""Load the tokenizer of an encoder's folder, without torch, whose import takes a second.

A BERT's or a plain tokenizer.json is read without transformers, too; any other tokenizer is read by it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from tokenizers import Tokenizer

from sentiment.common.errors import EncoderError, one_line

Tokenize = Callable[[list[str]], list[list[int]]]

PLAIN_CLASSES = {"TokenizersBackend", "PreTrainedTokenizerFast"}  # tokenizer.json, and nothing else
BERT_CLASSES = {"BertTokenizer", "BertTokenizerFast"}  # these build their normalizer from tokenizer_config.json
# how tokenizer_config.json names the settings of BERT's normalizer, and their defaults
BERT_SETTINGS = {
    "lowercase": ("do_lower_case", True),
    "strip_accents": ("strip_accents", None),
    "handle_chinese_chars": ("tokenize_chinese_chars", True),
}
BERT_NORMALIZER = {"type": "BertNormalizer", "clean_text": True}

# what transformers raises where files are damaged, do not fit each other, or need a package that is not installed
LOADING_ERRORS = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ImportError, SafetensorError,
)  # fmt: skip

OFFLINE: dict[str, Any] = {
    "local_files_only": True,
    "trust_remote_code": False,  # else transformers asks on standard input, and runs the code on "y"
}


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


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Turn what loading raises into an EncoderError of one line that starts with `name`."""
    try:
        yield
    except LOADING_ERRORS as error:
        raise EncoderError(f"{name} could not be loaded: {one_line(error)[:300]}") from None


def load_auto_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a folder, as transformers reads it.

    Raises:
        EncoderError: it has no tokenizer.json, or needs a package that is not installed.
        LOADING_ERRORS: of transformers, for other damage.
    """
    from transformers import AutoTokenizer

    if (folder / "spiece.model").is_file() and not (folder / "tokenizer.json").is_file():
        try:
            import google.protobuf  # noqa: F401 - without these two, transformers asks for tiktoken, which cannot read it
            import sentencepiece  # noqa: F401
        except ImportError:
            raise EncoderError(f"encoder '{folder}' has spiece.model; run pip install protobuf sentencepiece") from None
    tokenizer = AutoTokenizer.from_pretrained(folder, **OFFLINE)
    if not tokenizer.is_fast:
        raise EncoderError(f"encoder '{folder}': its tokenizer has no tokenizer.json")
    return tokenizer


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of an encoder, which does not cut texts.

    Raises:
        EncoderError: the tokenizer is missing or damaged.
    """
    with loading(f"encoder '{folder}'"):
        tokenizer = load_local_tokenizer(folder) or load_auto_tokenizer(folder).backend_tokenizer
    return Tokenizer.from_str(canonical_json(tokenizer))


def tokenize_with(tokenizer: Any, max_length: int) -> Tokenize:
    """Return a function from texts to the ids of their first `max_length` tokens, with transformers' tokenizer."""

    def tokenize(texts: list[str]) -> list[list[int]]:
        only_ids = {"return_attention_mask": False, "return_token_type_ids": False}
        ids: list[list[int]] = tokenizer(texts, truncation=True, max_length=max_length, **only_ids)["input_ids"]
        return ids

    return tokenize
