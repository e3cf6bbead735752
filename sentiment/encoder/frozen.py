"""Encode texts as feature vectors with a frozen encoder: batches of similar length, on threads or a GPU."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from itertools import compress
from math import fsum, sqrt
from pathlib import Path
from threading import Barrier
from typing import NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from sentiment.common.errors import EncoderError
from sentiment.encoder.config import Coverage, EncoderConfig, Precision
from sentiment.encoder.exact import ExactTransformer
from sentiment.encoder.families import TransformerConfig
from sentiment.encoder.floating import FloatTransformer, TransformersEncoder
from sentiment.encoder.loading import Pretrained, load_pretrained, pick_device
from sentiment.numerics.memory import use_threads

BITS: dict[Precision, int] = {"int8": 8, "int16": 16}  # the precisions in exact arithmetic

# tokens a batch: what fits the caches of a CPU, what keeps a GPU busy
TOKEN_BUDGET = {"cpu": 2_048, "mps": 16_384, "cuda": 131_072}
MIN_TOKENS = 1_024  # of a batch near the end: smaller ones cost more in starting operations than idle workers do
MAX_WORKERS = 8  # Python starts one operation at a time; with more workers they would wait for each other

N_COVERED = 2_048  # texts whose tokens `coverage` looks at
N_TEXTS = 128  # that int8 is compared with int16 by
MIN_COSINE = 0.998  # below it, an activation much larger than the others takes most of the 8 bits

Model = ExactTransformer | FloatTransformer | TransformersEncoder
T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger(__name__)


def token_batches(lengths: Sequence[int], budget: int, n_workers: int = 1) -> Iterator[list[int]]:
    """Yield groups of indices, longest texts first, so that group size times longest text is at most `budget`.

    Longest first: if memory does not suffice, it fails at once and not near the end. A text longer than the budget
    gets a group of its own.

    Args:
        lengths: tokens of each text.
        budget: the most tokens of a group, padding included.
        n_workers: how many groups are computed at one time. Several get smaller groups near the end, half of their
            share of what is left, so that they end at about the same time (Polychronopoulos and Kuck, Guided
            Self-Scheduling, 1987).
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    ordered = np.asarray(lengths)[order]
    n_left = ordered[::-1].cumsum()[::-1]  # tokens of the texts from here to the end
    start = 0
    while start < len(order):
        share = int(n_left[start]) // (2 * n_workers) if n_workers > 1 else budget
        size = max(1, min(budget, max(share, MIN_TOKENS)) // max(1, int(ordered[start])))
        alike = int((ordered[start : start + size] == ordered[start]).sum())
        if alike >= size / 2:  # without padding, the encoder needs no mask
            size = alike
        yield order[start : start + size].tolist()
        start += size


def n_workers(n_threads: int) -> int:
    """Return how many batches `map_batches` computes at one time with this number of torch threads."""
    return min(n_threads, MAX_WORKERS)


def map_batches(function: Callable[[T], R], batches: Iterable[T]) -> Iterator[R]:
    """Yield `function(batch)` in order; as many at once as torch has threads, at most 8."""
    yield from _pool(torch.get_num_threads()).map(function, batches)


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return workers that share `n_threads` threads of torch."""
    size = n_workers(n_threads)
    pool = ThreadPoolExecutor(size, thread_name_prefix="encode", initializer=use_threads, initargs=(n_threads // size,))
    all_started = Barrier(size)
    list(pool.map(lambda _: all_started.wait(timeout=60), range(size)))
    torch.set_num_threads(n_threads)  # the number of the process, which each worker has set too
    return pool


def pick_precision(precision: Precision, transformer: TransformerConfig | None) -> Precision:
    """Return the precision that "auto" means, whatever the machine: int8 for a BERT or an ALBERT, float32 for others.

    Raises:
        EncoderError: int8 or int16 is asked of another encoder.
    """
    if precision == "auto":
        return "int8" if transformer else "float32"
    if precision in BITS and transformer is None:
        raise EncoderError(f"encode.precision {precision} is for BERT and ALBERT with GELU; set it to auto or float32")
    return precision


def build_model(pretrained: Pretrained, precision: Precision, device: torch.device) -> Model:
    """Return what computes the vectors of an encoder in a precision that `pick_precision` returned."""
    transformer = pretrained.transformer
    if transformer and precision in BITS:
        return ExactTransformer(transformer, pretrained.weights, BITS[precision], device)
    dtype: torch.dtype = getattr(torch, precision)
    if transformer:
        return FloatTransformer(transformer, pretrained.weights, device, dtype)
    return TransformersEncoder(pretrained.module, device, dtype)


class TokensWithOffsets(NamedTuple):
    """The tokens of one text: first those that the encoder reads, special ones included, then the rest.

    Attributes:
        ids: of the tokens.
        offsets: start and end of each token in the text.
        is_special: whether a token was added, such as [CLS].
        n_read: tokens that the encoder reads.
        is_truncated: whether the text has more of them.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]
    is_special: list[bool]
    n_read: int
    is_truncated: bool

    def read(self) -> Self:
        """Return the tokens without the rest."""
        n = self.n_read
        return self._replace(ids=self.ids[:n], offsets=self.offsets[:n], is_special=self.is_special[:n])

    def whole_ids(self) -> list[int]:
        """Return the ids of the whole text, without special ones."""
        return [token for token, is_special in zip(self.ids, self.is_special, strict=True) if not is_special]


class FrozenEncoder:
    """A Hugging Face encoder without pooling layer, in evaluation mode, without gradients.

    Attributes:
        folder: from which it was loaded.
        config: its settings.
        model: this project's own BERT and ALBERT, or transformers' model for other encoders.
        precision: what it computes in, never "auto".
        dim: of a feature vector.
        fingerprint: SHA-256 of weights, config and tokenizer, before any change of precision.
    """

    def __init__(self, folder: Path, pretrained: Pretrained, config: EncoderConfig, device: str = "auto") -> None:
        self.folder = folder
        self.config = config
        self.dim = pretrained.hidden_size * (2 if config.pooling == "mean+max" else 1)
        self.fingerprint = pretrained.fingerprint()
        self.precision = pick_precision(config.precision, pretrained.transformer)
        self.device = pick_device(device, exact=self.precision in BITS)
        self.model = build_model(pretrained, self.precision, self.device)
        self._tokenize = pretrained.tokenize
        self._tokenizer_json = pretrained.tokenizer_json

    @classmethod
    def load(cls, folder: Path, config: EncoderConfig, device: str = "auto") -> Self:
        """Load encoder and tokenizer from a folder; never uses the network.

        Raises:
            EncoderError: the encoder is missing, incomplete, damaged, too short for `max_length`, or does not compute
                in this precision.
        """
        pretrained = load_pretrained(folder, config.max_length)
        max_positions = pretrained.config.get("max_position_embeddings", config.max_length)
        if config.max_length > max_positions:
            raise EncoderError(
                f"encode.max_length is {config.max_length}, but '{folder}' takes at most {max_positions}"
            )
        return cls(folder, pretrained, config, device)

    @property
    def has_batch_per_thread(self) -> bool:
        """Whether several batches are computed at one time, as `map_batches` does it."""
        return isinstance(self.model, ExactTransformer) and self.device.type == "cpu"

    def load_kernels(self) -> None:
        """Compile what makes the encoder faster now, and not when many tokens were encoded; changes no vector."""
        if isinstance(self.model, ExactTransformer):
            self.model.load_kernels()

    def encode(self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None) -> NDArray[np.float32]:
        """Return one float32 vector per text, shape (n_texts, dim), in the order of the texts.

        Args:
            texts: any number; they are sorted by length, so thousands at once need less padding.
            on_batch: called with the number of texts done, after each batch.
        """
        return self.encode_tokens(self.tokenize(texts), on_batch)

    @torch.inference_mode()
    def encode_tokens(
        self, token_ids: Sequence[Sequence[int]], on_batch: Callable[[int], object] | None = None
    ) -> NDArray[np.float32]:
        """Return what `encode` does, for the token ids of `tokenize`."""
        vectors = np.empty((len(token_ids), self.dim), dtype=np.float32)

        def encode_batch(indices: list[int]) -> int:
            batch = [token_ids[index] for index in indices]
            vectors[indices] = self.model.encode(batch, self.config.pooling).cpu().numpy()
            return len(indices)

        for n_done in self._map_batches(encode_batch, token_ids):
            if on_batch:
                on_batch(n_done)
        return vectors

    def encode_with_tokens(
        self,
        token_ids: Sequence[Sequence[int]],
        reduce: Callable[[NDArray[np.float32], list[NDArray[np.float32]]], list[R]],
    ) -> list[R]:
        """Return what `reduce` makes of each text, in order; the vectors of all tokens are never in memory together.

        Args:
            token_ids: of `tokenize`.
            reduce: of a batch's vectors, shape (n_texts, dim), those of `encode`, and the last hidden state of each of
                its texts, shape (n_tokens, hidden_size); returns one result a text. Several threads call it.
        """
        results: dict[int, R] = {}

        @torch.inference_mode()  # which holds in one thread
        def reduce_batch(indices: list[int]) -> None:
            pooled, vectors = self.model.encode_with_tokens([token_ids[i] for i in indices], self.config.pooling)
            on_cpu = [one.float().cpu().numpy() for one in vectors]
            results.update(zip(indices, reduce(pooled.cpu().numpy(), on_cpu), strict=True))

        for _ in self._map_batches(reduce_batch, token_ids):
            pass
        return [results[index] for index in range(len(token_ids))]

    def _map_batches(self, function: Callable[[list[int]], R], token_ids: Sequence[Sequence[int]]) -> Iterator[R]:
        """Yield what `function` makes of the indices of each batch of texts."""
        run_all, at_once = (map_batches, n_workers(torch.get_num_threads())) if self.has_batch_per_thread else (map, 1)
        lengths = [len(ids) for ids in token_ids]
        if isinstance(self.model, ExactTransformer):
            self.model.expect(sum(lengths))
        yield from run_all(function, token_batches(lengths, TOKEN_BUDGET[self.device.type], at_once))

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, special tokens included, cut to `max_length`."""
        return self._tokenize(list(texts)) if texts else []

    def tokenize_whole(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[int]]]:
        """Return what `tokenize` does, and the token ids of each whole text without special tokens."""
        encoded = self._tokenizer.encode_batch_fast(list(texts))
        return [one.ids for one in encoded], [_whole_ids(one) for one in encoded]

    def tokenize_with_offsets(self, texts: Sequence[str]) -> list[TokensWithOffsets]:
        """Return the tokens of each text with their offsets; its first `n_read` ones are those of `tokenize`."""
        return [_with_offsets(one) for one in self._tokenizer.encode_batch(list(texts))]

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        """The tokenizer, which keeps what it has cut."""
        tokenizer = Tokenizer.from_str(self._tokenizer_json)
        tokenizer.enable_truncation(self.config.max_length)
        return tokenizer

    def coverage(self, texts: Sequence[str]) -> Coverage:
        """Return how much of the first 2,048 texts the encoder reads; shares are rounded to four digits."""
        texts = texts[:N_COVERED]
        model = json.loads(self._tokenizer_json)["model"]
        unknown = model["unk_id"] if "unk_id" in model else model.get("vocab", {}).get(model.get("unk_token"))
        tokenized = [one.read() for one in self.tokenize_with_offsets(texts)]
        n_tokens = sum(one.is_special.count(False) for one in tokenized)
        n_unknown = sum(one.ids.count(unknown) for one in tokenized)
        n_truncated = sum(one.is_truncated for one in tokenized)
        return Coverage(
            texts=len(texts),
            unknown_tokens=round(n_unknown / max(1, n_tokens), 4),
            truncated_texts=round(n_truncated / max(1, len(texts)), 4),
        )


def _whole_ids(encoding: Encoding) -> list[int]:
    """Return the ids of a text that was cut, with those behind the cut and without special ones."""
    whole: list[int] = []
    for part in (encoding, *encoding.overflowing):
        whole += compress(part.ids, [not special for special in part.special_tokens_mask])
    return whole


def _with_offsets(encoding: Encoding) -> TokensWithOffsets:
    """Return the tokens of a text that was cut, with those behind the cut."""
    ids, offsets, n_read = encoding.ids, encoding.offsets, len(encoding.ids)
    for part in encoding.overflowing:
        is_own = [not special for special in part.special_tokens_mask]
        ids += compress(part.ids, is_own)
        offsets += compress(part.offsets, is_own)
    is_special = [*map(bool, encoding.special_tokens_mask), *[False] * (len(ids) - n_read)]
    return TokensWithOffsets(ids, offsets, is_special, n_read, is_truncated=len(ids) > n_read)


def int8_min_cosine(encoder: FrozenEncoder, texts: Sequence[str]) -> float | None:
    """Return the least cosine between the int8 and the int16 vector of a text, rounded; logs a line where it is low.

    None where the encoder does not compute in int8. At most the first 128 texts are looked at.
    """
    if encoder.precision != "int8" or not texts:
        return None
    texts = texts[:N_TEXTS]
    config = encoder.config.model_copy(update={"precision": "int16"})
    precise = FrozenEncoder.load(encoder.folder, config, encoder.device.type)
    cosines = map(cosine, encoder.encode(texts), precise.encode(texts))
    least = round(min(cosines), 6)
    if least < MIN_COSINE:
        log.info("int8 and int16 vectors differ (least cosine %.4f): prefer encode.precision=int16", least)
    return least


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the cosine of two vectors; products of float32 are exact in float64, and `fsum` rounds once."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    dot, square_a, square_b = (
        fsum(product.tolist()) for product in (wide_a * wide_b, wide_a * wide_a, wide_b * wide_b)
    )
    return dot / sqrt(square_a * square_b) if square_a and square_b else float(square_a == square_b)
