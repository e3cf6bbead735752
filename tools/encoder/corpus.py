"""Read review texts, prune the teacher's vocabulary to them, and cut them into pieces of token ids.

Texts alone are read: no label, no rating. Left out are a tenth of the film reviews, by which encoders are compared, and
every set that judges them (see `tools.judge`); a text of these that is also among the unlabeled reviews is left out.
"""

import json
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing

from sentiment.common.errors import EncoderError, InputError
from sentiment.data.text import decode_html, hash64, join_text, normalize_text

Ids = NDArray[np.int32]

# and the columns that are read; imdb comes first, because it says which of the unlabeled reviews judge
FILES = {"imdb": ["text"], "imdb_unlabeled": ["text"], "amazon4": ["title", "text"]}
PRODUCTS = ("amazon4",)  # whose writers count stars up to five
COPIES = {"amazon4": 3}  # each cut elsewhere, so that products count beside the many films
HELD_OUT = 10  # one in this many reviews of IMDB's train part

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
CHARACTER_TOKENS = {prefix + character for character in string.printable for prefix in ("", "##")}
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+")


def is_held_out(text: str) -> bool:
    """Return whether a film review is one of those that no encoder reads."""
    return hash64(normalize_text(text)) % HELD_OUT == 0


def read_texts(folder: Path) -> dict[str, list[str]]:
    """Return the texts of each file of `FILES`, as `prepare` joins and decodes them.

    Raises:
        InputError: a file is missing.
    """
    texts = {}
    for name, columns in FILES.items():
        path = folder / f"{name}.parquet"
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected {', '.join(FILES)} as Parquet files in {folder}")
        table = pd.read_parquet(path, columns=[*columns, "split"] if name == "imdb" else columns)
        if name == "imdb":
            is_read = (table["split"] == "train") & ~table["text"].map(is_held_out)
            judges = {normalize_text(text) for text in table["text"][~is_read]}  # some are among the unlabeled, too
            table = table[is_read]
        elif name == "imdb_unlabeled":
            table = table[~table["text"].map(normalize_text).isin(judges)]
        rows = table[columns].fillna("").itertuples(index=False, name=None)
        texts[name] = [decode_html(join_text(row)) for row in rows]
    return texts


def prune(
    source: Tokenizer, counts: Counter[str], size: int, aliases: Mapping[str, str]
) -> tuple[Tokenizer, list[int]]:
    """Keep special tokens, single characters and the most frequent tokens, and add aliases, `size` in all.

    A word whose token is left out is split into shorter ones: every single character stays.

    Args:
        counts: of the tokens of the source.
        aliases: new characters, and the token of the source in whose place each stands; without it, none is added.

    Returns:
        The pruned tokenizer, which adds [CLS] and [SEP], and the id of each of its tokens in the source.

    Raises:
        EncoderError: the tokenizer is not WordPiece with BERT's special tokens.
    """
    if not isinstance(source.model, WordPiece) or any(source.token_to_id(token) is None for token in SPECIAL_TOKENS):
        raise EncoderError(f"the teacher's tokenizer must be WordPiece with {', '.join(SPECIAL_TOKENS)}")
    ids = source.get_vocab()
    added = {prefix + new: ids[old] for new, old in aliases.items() if old in ids for prefix in ("", "##")}
    always = (CHARACTER_TOKENS & ids.keys()) - added.keys()
    others = sorted(
        counts.keys() - always - added.keys() - set(SPECIAL_TOKENS), key=lambda token: (-counts[token], ids[token])
    )
    chosen = always.union(others[: size - len(always) - len(added) - len(SPECIAL_TOKENS)])
    kept = [*SPECIAL_TOKENS, *sorted(chosen, key=ids.__getitem__), *added]
    settings = json.loads(source.to_str())  # the pruned one normalizes and splits texts alike
    settings["model"]["vocab"] = {token: token_id for token_id, token in enumerate(kept)}
    settings |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    tokenizer.post_processor = TemplateProcessing(
        single=f"{CLS} $A {SEP}",
        pair=f"{CLS} $A {SEP} $B:1 {SEP}:1",
        special_tokens=[(CLS, kept.index(CLS)), (SEP, kept.index(SEP))],
    )
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer, [added[token] if token in added else ids[token] for token in kept]


def count_tokens(source: Tokenizer, texts: Sequence[str]) -> Counter[str]:
    """Return how often each token occurs."""
    source = Tokenizer.from_str(source.to_str())  # a copy: the caller's keeps its settings
    source.no_truncation()
    source.no_padding()
    counts: Counter[str] = Counter()
    for start in range(0, len(texts), ROWS):
        for encoding in source.encode_batch(list(texts[start : start + ROWS]), add_special_tokens=False):
            counts.update(encoding.tokens)
    return counts


ROWS = 1_000  # texts tokenized at one time


def tokenize_sentences(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[Ids]]:
    """Return the token ids of the sentences of each text, without special tokens."""
    tokenized = []
    for start in range(0, len(texts), ROWS):
        split = [SENTENCE_END.split(text) for text in texts[start : start + ROWS]]
        flat = [sentence for sentences in split for sentence in sentences]
        ids = iter(tokenizer.encode_batch(flat, add_special_tokens=False))
        tokenized += [[np.array(next(ids).ids, np.int32) for _ in sentences] for sentences in split]
    return tokenized
