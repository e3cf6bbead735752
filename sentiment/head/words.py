"""Weigh the words of a text by TF-IDF, for a linear head that sees them beside the features of the encoder.

    vocabulary = Vocabulary.fit(train_tokens)
    Words(vocabulary, weights).logits(tokens)       # what they add to the logit of each text

Words are the ids of the encoder's tokenizer, without special tokens such as [CLS], and pairs of neighbors. They are of
the whole text, also behind `encode.max_length`. Their weights are those of scikit-learn's TfidfVectorizer with
`sublinear_tf`: (1 + log(count)) * (1 + log((1 + n_texts) / (1 + n_texts_with_it))), scaled to norm 1 in each text.

Every number has the same bits on every processor. Logarithms are those of `numerics.arrays`. A product of the formula
is rounded to a multiple of 2**-10. It is below 2**8, so its square is an integer below 2**36 times 2**-20, and the
sum of `MAX_NGRAMS` squares is exact. Square root and division are rounded correctly everywhere. The quotient, at most
1, is rounded to a multiple of 2**-14: a number of `STEP_BITS` bits. By Cauchy and Schwarz the steps of a text add up
to less than 2**`TEXT_BITS`, so its products with weights of `WEIGHT_BITS` bits have an exact sum in any order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sentiment.encoder.tokenizer import load_tokenizer
from sentiment.numerics.arrays import EXACT_BITS, log, round_to_bits

Int64s = NDArray[np.int64]
Float64s = NDArray[np.float64]

MIN_REVIEWS = 5  # that have an n-gram; with fewer, it may be a name, and a weight for it repeats their labels
MAX_NGRAMS = 100_000  # of most reviews: fewer than 2**17, and the solver needs 2 KB for each
PRODUCT_STEPS = 2**10  # per unit, of term frequency times inverse document frequency
STEP_BITS = 14  # of a weighted n-gram
TEXT_BITS = 23  # sqrt(MAX_NGRAMS) * 2**STEP_BITS, and half a step for the rounding of each n-gram
WEIGHT_BITS = EXACT_BITS - TEXT_BITS
CHUNK_TEXTS = 4_096  # handled together: some 10 MB for each array of n-grams
PAIR = 2**32  # keys of pairs are above it, token ids below


@dataclass(frozen=True)
class Tokens:
    """Token ids of texts, one text after the other.

    Attributes:
        ids: shape (n_tokens,).
        starts: of each text in `ids`, and their end, shape (n_texts + 1,).
    """

    ids: NDArray[np.int32]
    starts: Int64s

    @classmethod
    def of(cls, token_ids: Sequence[Sequence[int]]) -> Self:
        """Return the tokens of texts."""
        starts = np.cumsum([0, *map(len, token_ids)], dtype=np.int64)
        ids = np.fromiter(chain.from_iterable(token_ids), np.int32, starts[-1])
        return cls(ids, starts)

    @classmethod
    def read(cls, encoder: Path, texts: Iterable[list[str]]) -> Self:
        """Return the tokens of texts, which come in chunks, by the tokenizer of an encoder's folder.

        Raises:
            EncoderError: the tokenizer is missing or damaged.
        """
        tokenizer = load_tokenizer(encoder)
        encoded = (tokenizer.encode_batch_fast(chunk, add_special_tokens=False) for chunk in texts)
        return cls.joined([cls.of([one.ids for one in chunk]) for chunk in encoded])

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the tokens of the texts of all parts."""
        lengths = [np.diff(one.starts) for one in parts]
        starts = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64)
        return cls(np.concatenate([np.empty(0, np.int32), *(one.ids for one in parts)]), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, rows: "slice | NDArray[np.bool_] | Int64s") -> Self:
        """Return the texts of adjacent rows, or those that a mask or indices choose."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            bounds = self.starts[start : stop + 1]
            return replace(self, ids=self.ids[bounds[0] : bounds[-1]], starts=bounds - bounds[0])
        lengths, firsts = np.diff(self.starts)[rows], self.starts[:-1][rows]
        starts = np.cumsum(np.append(0, lengths), dtype=np.int64)
        indices = np.repeat(firsts - starts[:-1], lengths) + np.arange(starts[-1])
        return replace(self, ids=self.ids[indices], starts=starts)

    def chunks(self) -> Iterator[Self]:
        """Yield the texts, `CHUNK_TEXTS` at a time."""
        return (self[start : start + CHUNK_TEXTS] for start in range(0, len(self), CHUNK_TEXTS))

    def ngrams(self) -> tuple[Int64s, Int64s, Int64s]:
        """Return key, text and first token of every n-gram, single ones before pairs. # (n_ngrams,) each"""
        ids = self.ids.astype(np.int64)
        texts = np.repeat(np.arange(len(self)), np.diff(self.starts))
        pairs = np.flatnonzero(texts[1:] == texts[:-1])
        keys = np.concatenate([ids, (ids[pairs] + 1) * PAIR + ids[pairs + 1]])
        firsts = np.concatenate([np.arange(len(ids)), pairs])
        return keys, texts[firsts], firsts


class Entries(NamedTuple):
    """The n-grams of texts that a vocabulary has: text, n-gram and count of each, by text, then by n-gram. # (n,)"""

    texts: Int64s
    columns: Int64s
    counts: Int64s


@dataclass(frozen=True)
class Vocabulary:
    """The n-grams that count.

    Attributes:
        keys: the token id, or for a pair (first id + 1) * `PAIR` + second id; ascending, shape (n_ngrams,).
        idf: inverse document frequency, shape (n_ngrams,).
    """

    keys: Int64s
    idf: Float64s

    @classmethod
    def fit(cls, tokens: Tokens) -> Self:
        """Return the n-grams in at least `MIN_REVIEWS` texts, at most `MAX_NGRAMS`; of equals those of lower keys.

        Memory: 16 bytes for each different n-gram of the texts, twice.
        """
        merged, pending = _count(tokens[:0]), []
        for chunk in tokens.chunks():
            pending.append(_count(chunk))
            if sum(len(keys) for keys, _ in pending) > len(merged[0]):  # so that a key is merged a few times only
                merged, pending = _merge([merged, *pending]), []
        keys, counts = _merge([merged, *pending])
        enough = counts >= MIN_REVIEWS
        keys, counts = keys[enough], counts[enough]
        kept = np.sort(np.lexsort((keys, -counts))[:MAX_NGRAMS])
        return cls(keys[kept], 1.0 + log((1.0 + len(tokens)) / (1.0 + counts[kept])))

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, tokens: Tokens) -> tuple[Int64s, Int64s, Int64s]:
        """Return column, text and first token of each n-gram of the texts that is in the vocabulary. # (n,) each"""
        keys, texts, firsts = tokens.ngrams()
        columns = np.searchsorted(self.keys, keys)
        has_column = np.flatnonzero(self.keys[np.minimum(columns, len(self) - 1)] == keys)
        return columns[has_column], texts[has_column], firsts[has_column]

    def entries(self, tokens: Tokens) -> Entries:
        """Return the n-grams of texts, each once a text with its count."""
        columns, texts, _ = self.find(tokens)
        codes, counts = np.unique(texts * len(self) + columns, return_counts=True)
        return Entries(codes // len(self), codes % len(self), counts)

    def steps(self, entries: Entries) -> Float64s:
        """Return the weight of each n-gram in its text, as a whole number from 0 to 2**`STEP_BITS`. # (n,)"""
        products = np.rint((1.0 + log(entries.counts)) * self.idf[entries.columns] * PRODUCT_STEPS)
        norms = np.sqrt(np.bincount(entries.texts, products * products))
        return np.asarray(np.rint(products / norms[entries.texts] * 2**STEP_BITS))


@dataclass(frozen=True)
class Words:
    """What the words of a text add to its logit.

    Attributes:
        vocabulary: with at least one n-gram.
        weights: of each n-gram, where its TF-IDF is 1, shape (n_ngrams,).
    """

    vocabulary: Vocabulary
    weights: Float64s

    @cached_property
    def by_step(self) -> Float64s:
        """Weight of one step of each n-gram, on a grid. # (n_ngrams,)"""
        return np.asarray(round_to_bits(self.weights, WEIGHT_BITS) / 2**STEP_BITS)

    def logits(self, tokens: Tokens) -> Float64s:
        """Return what the words add to the logit of each text, which depends on no other text. # (n_texts,)"""
        return np.concatenate([np.empty(0), *map(self._logits, tokens.chunks())])

    def _logits(self, tokens: Tokens) -> Float64s:
        entries = self.vocabulary.entries(tokens)
        products = self.vocabulary.steps(entries) * self.by_step[entries.columns]
        return np.bincount(entries.texts, products, len(tokens)).astype(np.float64)

    def contributions(self, token_ids: Sequence[int]) -> Float64s:
        """Return what each token of one text adds; a pair adds half of its part to either token. # (n_tokens,)"""
        tokens = Tokens.of([token_ids])
        columns, _, firsts = self.vocabulary.find(tokens)
        entries = self.vocabulary.entries(tokens)
        parts = self.vocabulary.steps(entries) * self.by_step[entries.columns] / entries.counts  # of one occurrence
        by_ngram = parts[np.searchsorted(entries.columns, columns)]
        is_pair = self.vocabulary.keys[columns] >= PAIR
        by_ngram[is_pair] /= 2
        indices = np.concatenate([firsts, firsts[is_pair] + 1])
        return np.bincount(indices, np.concatenate([by_ngram, by_ngram[is_pair]]), len(token_ids)).astype(np.float64)

    def divided(self, temperature: float) -> Self:
        """Return the words whose part of a logit is divided by a number."""
        return replace(self, weights=self.weights / temperature)

    def as_tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays as they are saved, by name."""
        return {"words.keys": self.vocabulary.keys, "words.idf": self.vocabulary.idf, "words.weights": self.weights}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """Return what `as_tensors` returned; raises KeyError where an array is missing."""
        return cls(Vocabulary(tensors["words.keys"], tensors["words.idf"]), tensors["words.weights"])

    def check(self, n_ngrams: int) -> None:
        """Raise ValueError where an array has another type, shape or order than it needs, or is not finite."""
        for name, array in self.as_tensors().items():
            dtype = np.int64 if name == "words.keys" else np.float64
            if array.dtype != dtype or array.shape != (n_ngrams,):
                expected = f"{dtype.__name__} ({n_ngrams},)"
                raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, expected {expected}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds a NaN or an infinity")
        keys, idf = self.vocabulary.keys, self.vocabulary.idf
        if not 0 < len(keys) <= MAX_NGRAMS or keys[0] < 0 or not (np.diff(keys) > 0).all():
            raise ValueError(f"words.keys are not 1 to {MAX_NGRAMS:,} ascending numbers")
        if not (idf >= 1).all():
            raise ValueError("words.idf holds a number below 1")


def _count(tokens: Tokens) -> tuple[Int64s, Int64s]:
    """Return the different n-grams of texts, ascending, and in how many texts each is. # (n_ngrams,) each"""
    keys, texts, _ = tokens.ngrams()
    order = np.argsort(keys, kind="stable")  # of one n-gram, the texts are ascending
    keys, texts = keys[order], texts[order]
    is_first = np.ones(len(keys), np.bool_)
    is_first[1:] = (keys[1:] != keys[:-1]) | (texts[1:] != texts[:-1])
    unique, counts = np.unique(keys[is_first], return_counts=True)
    return unique, counts.astype(np.int64)


def _merge(parts: Sequence[tuple[Int64s, Int64s]]) -> tuple[Int64s, Int64s]:
    """Return keys and counts of all parts."""
    keys, indices = np.unique(np.concatenate([keys for keys, _ in parts]), return_inverse=True)
    counts = np.bincount(indices, np.concatenate([counts for _, counts in parts]), len(keys))
    return keys, counts.astype(np.int64)
