"""Turn reviews into augmented batches of token ids: read the train split, prune the tokenizer to it, augment at random.

For the bundled encoder four of five tokens are removed, and with them four fifths of the embedding table, which is most
of a small ALBERT. A word whose token was removed is split into shorter ones: every single character stays.
"""

import json
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sentiment.common.errors import EncoderError, InputError
from sentiment.data.splitting import SplitParams, assign_split, text_hash
from sentiment.data.text import SEPARATOR, join_text
from sentiment.encoder.floating import padded
from tools.pretrain.config import PretrainingConfig

MIN_TITLES = 100  # an n-gram must occur in 5 titles; with fewer titles than this hardly any does


@dataclass(frozen=True)
class Corpus:
    """Reviews, row by row.

    Attributes:
        titles: without the body; "" where the review has no title.
        bodies: without the title.
        texts: title and body, joined as the pipeline joins them.
    """

    titles: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def has_title(self) -> NDArray[np.bool_]:
        """Return which reviews have a title. # (n_reviews,)"""
        return np.array([title != "" for title in self.titles])


def read_corpus(chunks: Iterable[pd.DataFrame], text_columns: list[str], params: SplitParams) -> Corpus:
    """Keep the reviews that the stage `split` assigns to `train`, each text once.

    Args:
        chunks: raw rows as strings; only `text_columns` are read.
        text_columns: the last is the body, those before it make up the title.
        params: of the stage `split`.

    Raises:
        InputError: fewer than `MIN_TITLES` of the reviews have a title.
    """
    corpus = Corpus()
    seen: set[int] = set()
    for raw in chunks:
        for fields in raw[text_columns].itertuples(index=False, name=None):
            text = join_text(fields)
            hashed = text_hash(text, params.salt)
            if not text or hashed in seen or assign_split(hashed, params) != "train":
                continue
            seen.add(hashed)
            corpus.titles.append(SEPARATOR.join(value.strip() for value in fields[:-1] if value.strip()))
            corpus.bodies.append(fields[-1].strip())
            corpus.texts.append(text)
    if (n_titles := int(corpus.has_title().sum())) < MIN_TITLES:
        raise InputError(f"{n_titles} training reviews have a title, expected at least {MIN_TITLES}")
    return corpus


PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
CHARACTER_TOKENS = {prefix + character for character in string.printable for prefix in ("", "##")}


@dataclass(frozen=True)
class Vocabulary:
    """A pruned tokenizer.

    Attributes:
        tokenizer: adds `[CLS]` and `[SEP]`.
        source_ids: each token's id in the source encoder's tokenizer, in order.
    """

    tokenizer: Tokenizer
    source_ids: list[int]

    def __len__(self) -> int:
        return len(self.source_ids)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids without special tokens."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def as_pretrained(self, max_length: int) -> PreTrainedTokenizerFast:
        """Return the tokenizer as transformers saves and loads it."""
        names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
        return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=self.tokenizer,
            model_max_length=max_length,
            **dict(zip(names, SPECIAL_TOKENS, strict=True)),
        )


def prune(source: PreTrainedTokenizerBase, texts: Sequence[str], min_count: int) -> Vocabulary:
    """Keep special tokens, single characters, and the tokens that occur at least `min_count` times in `texts`.

    Raises:
        EncoderError: the tokenizer is not WordPiece with BERT's special tokens.
    """
    backend = getattr(source, "backend_tokenizer", None)
    if (
        backend is None
        or not isinstance(backend.model, WordPiece)
        or any(backend.token_to_id(token) is None for token in SPECIAL_TOKENS)
    ):
        raise EncoderError(f"the source encoder's tokenizer must be WordPiece with {', '.join(SPECIAL_TOKENS)}")
    backend = Tokenizer.from_str(backend.to_str())  # a copy: the caller's tokenizer keeps its settings
    backend.no_truncation()
    backend.no_padding()
    counts: Counter[str] = Counter()
    for encoding in backend.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.tokens)
    ids = backend.get_vocab()
    by_id = sorted(ids.keys() - set(SPECIAL_TOKENS), key=ids.__getitem__)
    kept = [*SPECIAL_TOKENS, *(token for token in by_id if counts[token] >= min_count or token in CHARACTER_TOKENS)]
    settings = json.loads(backend.to_str())  # the pruned one normalizes and splits texts alike
    settings["model"]["vocab"] = {token: token_id for token_id, token in enumerate(kept)}
    settings |= {"added_tokens": [], "post_processor": None}
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    tokenizer.post_processor = TemplateProcessing(
        single=f"{CLS} $A {SEP}",
        pair=f"{CLS} $A {SEP} $B:1 {SEP}:1",
        special_tokens=[(CLS, kept.index(CLS)), (SEP, kept.index(SEP))],
    )
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return Vocabulary(tokenizer, [ids[token] for token in kept])


REVIEWS_PER_SORT = 2_048  # sorted by length together: more means less padding, but less variety of batches


@dataclass(frozen=True)
class Batch:
    """Augmented reviews of similar length.

    Attributes:
        indices: of the reviews in the corpus. # (n_texts,)
        ids: token ids, padded. # (n_texts, seq_len)
        mask: 1 for a token, 0 for padding; None without padding. # (n_texts, seq_len)
    """

    indices: NDArray[np.int64]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64] | None


@dataclass(frozen=True)
class ReviewAugmenter:
    """Augments reviews at random; equally seeded generators give equal batches.

    Attributes:
        texts: token ids of title and body together.
        bodies: token ids of the body alone.
    """

    texts: list[list[int]]
    bodies: list[list[int]]
    config: PretrainingConfig

    def augment(self, index: int, rng: np.random.Generator) -> list[int]:
        """Return the token ids of one augmented review, special tokens included."""
        config = self.config
        token_ids = self.texts[index] if rng.random() < config.title_keep_prob else self.bodies[index]
        truncated = rng.random() < config.truncate_prob
        max_length = config.max_length
        if truncated:
            max_length = int(rng.integers(config.min_truncated_length, config.max_truncated_length))
        kept = np.array(token_ids[: max_length - 2], dtype=np.int64)  # two are [CLS] and [SEP]
        kept[rng.random(len(kept)) < config.mask_prob] = SPECIAL_TOKENS.index(MASK)
        return [SPECIAL_TOKENS.index(CLS), *kept.tolist(), SPECIAL_TOKENS.index(SEP)]

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield every review once, in batches of similar length, in random order."""
        order = rng.permutation(len(self.texts))
        augmented = [self.augment(int(index), rng) for index in order]
        batches = []
        for start in range(0, len(order), REVIEWS_PER_SORT):
            lengths = [len(ids) for ids in augmented[start : start + REVIEWS_PER_SORT]]
            batches += [start + rows for rows in batches_by_length(np.array(lengths), self.config.tokens_per_batch)]
        for number in rng.permutation(len(batches)):
            rows = batches[number]
            yield Batch(order[rows], *padded([augmented[row] for row in rows], SPECIAL_TOKENS.index(PAD)))


def batches_by_length(lengths: NDArray[np.int64], max_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Yield indices, longest texts first; batch size times longest text is at most `max_tokens`.

    Kept apart from the batches of the stage `encode`: those may be changed for speed, these change the weights.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, max_tokens // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size
