"""Explain a probability: the contribution of each token of a text to the logit.

With one linear layer the logit is bias + sum over j of w[j] * x[j], where x is the standardized feature vector. Mean
pooling makes x[j] a sum over tokens, so each token has its share; max pooling takes x[j] from one token, which gets all
of it. What rounding and clipping in `head.standardization` change is shared equally among the tokens of a mean. A token
counts against the average of the training data: a usual feature contributes nothing.

With more layers there is no such sum. Then w is the gradient of the logit at x ("gradient times input"; Shrikumar et
al., 2016, https://arxiv.org/abs/1605.01713), and the bias is what the contributions leave of the logit.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sentiment.data.text import decoded_pieces
from sentiment.head.classifier import Classifier
from sentiment.head.mlp import forward, round_weights
from sentiment.head.standardization import standardize
from sentiment.inference.classifier import SentimentClassifier

if TYPE_CHECKING:
    from sentiment.encoder.frozen import TokensWithOffsets

Float64s = NDArray[np.float64]
Method = Literal["exact sum", "gradient times input"]


def token_contributions(
    head: Classifier, features: NDArray[np.float32], vectors: NDArray[np.float32], pooling: str
) -> tuple[float, Float64s, Method]:
    """Return logit, contribution of each token of shape (n_tokens,), and how it was computed.

    Args:
        head: the classifier.
        features: pooled vector of the text, shape (dim,).
        vectors: the encoder's last hidden state, shape (n_tokens, hidden_size).
        pooling: of `EncoderConfig`.
    """
    layers = round_weights(head.layers)
    x = standardize(features[None], head.mean, head.std).astype(np.float64)  # (1, dim)
    weights = gradient(layers, x)
    shares = token_shares(x[0], vectors.astype(np.float64), head, pooling)  # (n_tokens, dim)
    method: Method = "exact sum" if len(layers) == 1 else "gradient times input"
    return float(forward(layers, x)[0]), shares @ weights, method


def token_shares(x: Float64s, vectors: Float64s, head: Classifier, pooling: str) -> Float64s:
    """Return the share of each token in each standardized feature, shape (n_tokens, dim); columns add up to `x`."""
    n_tokens, hidden_size = vectors.shape
    if pooling == "cls":
        shares = np.zeros((n_tokens, hidden_size))
        shares[0] = x
        return shares
    blocks = []
    for start, kind in enumerate(kind for kind in ("mean", "max") if kind in pooling):
        columns = slice(start * hidden_size, (start + 1) * hidden_size)
        if kind == "mean":
            block = (vectors - head.mean[columns]) / (head.std[columns].astype(np.float64) * n_tokens)
            block += (x[columns] - block.sum(axis=0)) / n_tokens
        else:
            block = np.zeros((n_tokens, hidden_size))
            block[vectors.argmax(axis=0), np.arange(hidden_size)] = x[columns]
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


def gradient(layers: Sequence[tuple[Float64s, Float64s]], x: Float64s) -> Float64s:
    """Return the gradient of the logit at `x`, shape (dim,); for one layer that is its weight.

    Args:
        layers: linear layers with ReLU between them; weight (outputs, inputs) and bias (outputs,).
        x: shape (1, dim).
    """
    masks, hidden = [], x
    for weight, bias in layers[:-1]:
        hidden = hidden @ weight.T + bias
        masks.append(hidden > 0)
        hidden = np.maximum(hidden, 0.0)
    grad = layers[-1][0]  # (1, inputs)
    for (weight, _), mask in zip(reversed(layers[:-1]), reversed(masks), strict=True):
        grad = (grad * mask) @ weight
    return np.asarray(grad[0], np.float64)


MAX_TEXTS = 64  # whose token vectors are in memory at one time
DECIMALS = 9  # of numbers in JSON: 512 rounded contributions still add up to the logit to 1e-6


@dataclass(frozen=True)
class Word:
    """A word and its contribution to the logit; `start` and `end` are offsets into the text that was given."""

    text: str
    start: int
    end: int
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """Why a text has its probability: bias + special_tokens + the contributions of the words = logit.

    Attributes:
        label: as `SentimentClassifier.predict`.
        probability: of "positive", as `SentimentClassifier.predict_proba`.
        logit: log-odds of "positive".
        bias: what does not come from a token.
        special_tokens: contribution of the tokens that the encoder adds, such as [CLS] and [SEP].
        words: in their order, separated by white space. Those behind the encoder's maximum are left out.
        method: "exact sum" for one linear layer, else "gradient times input".
        is_truncated: whether the text is longer than the encoder reads.
    """

    label: str
    probability: float
    logit: float
    bias: float
    special_tokens: float
    words: tuple[Word, ...]
    method: Method
    is_truncated: bool

    def as_mapping(self, text: str) -> dict[str, Any]:
        """Return what is written as JSON; offsets count the code points of `text`."""
        numbers = {name: round(getattr(self, name), DECIMALS) for name in ("logit", "bias", "special_tokens")}
        words = [asdict(word) | {"contribution": round(word.contribution, DECIMALS)} for word in self.words]
        return {"text": text, "method": self.method, **numbers, "is_truncated": self.is_truncated, "words": words}

    def strongest_words(self, width: int) -> str:
        """Return the words that contribute most with their contributions, at least one, in at most `width` characters.

        >>> Explanation("positive", 0.7, 0.8, 0, 0, (Word("warm", 0, 4, 0.8),), "exact sum", False).strongest_words(40)
        '+0.80 warm'
        """
        order = sorted(self.words, key=lambda word: -abs(word.contribution))
        shown = [f"{word.contribution:+.2f} {word.text}" for word in order]
        lengths = accumulate(len(word) + 2 for word in shown)  # two blanks after each
        n_shown = sum(length - 2 <= width for length in lengths)
        return "  ".join(shown[: max(1, n_shown)])


def explain(classifier: SentimentClassifier, texts: Sequence[str]) -> list[Explanation | None]:
    """Return an explanation of each text; None for a text of white space only.

    Raises:
        TypeError: one string instead of a sequence of them, or an element that is not a string.
        ClassifierError: the encoder's features are not finite.
    """
    cleaned = classifier.clean(texts)
    indices = [index for index, text in enumerate(cleaned) if text]
    explanations: list[Explanation | None] = [None] * len(texts)
    for start in range(0, len(indices), MAX_TEXTS):
        batch = indices[start : start + MAX_TEXTS]
        for index, explanation in zip(batch, _explain_batch(classifier, [texts[i] for i in batch]), strict=True):
            explanations[index] = explanation
    return explanations


def _explain_batch(classifier: SentimentClassifier, texts: Sequence[str]) -> Iterator[Explanation]:
    """Yield the explanations of texts, none of which is blank."""
    encoder, head = classifier.encoder, classifier.classifier
    cleaned = classifier.clean(texts)
    tokens = encoder.tokenize_with_offsets(cleaned)
    features = encoder.encode(cleaned)  # (n_texts, dim)
    vectors = encoder.token_vectors([one.ids for one in tokens])  # of each text (n_tokens, hidden_size)
    probabilities = classifier.score(features)
    labels = classifier.label(probabilities)
    for row, text in enumerate(texts):
        logit, by_token, method = token_contributions(head, features[row], vectors[row], encoder.config.pooling)
        is_special = np.array(tokens[row].is_special)
        yield Explanation(
            label=str(labels[row]),
            probability=float(probabilities[row]),
            logit=logit,
            bias=logit - float(by_token.sum()),
            special_tokens=float(by_token[is_special].sum()),
            words=join_words(text, ends_in(text, head.config.features.decode_html), tokens[row], by_token),
            method=method,
            is_truncated=tokens[row].is_truncated,
        )


def ends_in(text: str, is_decoded: bool) -> NDArray[np.int64]:
    """Return where each character of the cleaned text ends in the text as it was given. # (n_characters,)"""
    pieces = decoded_pieces(text) if is_decoded else [(text, 0, len(text))]
    ends: list[int] = []
    cleaned = ""
    for piece, start, end in pieces:
        cleaned += piece
        ends += range(start + 1, end + 1) if len(piece) == end - start else [end] * len(piece)
    first = len(cleaned) - len(cleaned.lstrip())
    return np.array(ends[first : len(cleaned.rstrip())])


def join_words(
    text: str, ends_in_text: NDArray[np.int64], tokens: "TokensWithOffsets", by_token: Float64s
) -> tuple[Word, ...]:
    """Return the words of `text` that have tokens, each with the sum of their contributions.

    Args:
        text: as it was given.
        ends_in_text: where each character of the cleaned text, which the offsets of the tokens count in, ends in it.
        tokens: of the text.
        by_token: contribution of each token, shape (n_tokens,).
    """
    bounds = [match.span() for match in re.finditer(r"\S+", text)]
    ends = np.array([end for _, end in bounds])
    sums: dict[int, float] = {}
    for (_, end), is_special, contribution in zip(tokens.offsets, tokens.is_special, by_token.tolist(), strict=True):
        if not is_special:
            # by its last character: the span of some tokenizers begins with the space before the word
            word = min(int(np.searchsorted(ends, ends_in_text[max(end, 1) - 1])), len(bounds) - 1)
            sums[word] = sums.get(word, 0.0) + contribution
    return tuple(
        Word(text[start:end], start, end, sums[number]) for number, (start, end) in enumerate(bounds) if number in sums
    )
