"""Explain a probability: the contribution of each token of a text to the logit.

With one linear layer the logit is bias + sum over j of w[j] * x[j], where x is the standardized feature vector. Mean
pooling makes x[j] a sum over tokens, so each token has its share; max pooling takes x[j] from one token, which gets all
of it. What rounding and clipping in `head.standardization` change is shared equally among the tokens of a mean. A token
counts against the average of the training data: a usual feature contributes nothing.

With more layers there is no such sum. Then w is the gradient of the logit at x ("gradient times input"; Shrikumar et
al., 2016, https://arxiv.org/abs/1605.01713), and the bias is what the contributions leave of the logit.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from sentiment.common.command import printable
from sentiment.head.classifier import Classifier
from sentiment.head.mlp import forward, round_weights
from sentiment.head.standardization import standardize
from sentiment.inference.classifier import SentimentClassifier, strip_texts

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


Span = tuple[int, int]

MAX_TEXTS = 64  # whose token vectors are in memory at one time


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

    def shifted(self, offset: int) -> "Explanation":
        """Return the explanation of a text with `offset` characters before this one."""
        words = tuple(replace(word, start=word.start + offset, end=word.end + offset) for word in self.words)
        return replace(self, words=words) if offset else self


def explain(classifier: SentimentClassifier, texts: Sequence[str]) -> list[Explanation | None]:
    """Return an explanation of each text; None for a text of white space only.

    Raises:
        TypeError: one string instead of a sequence of them, or an element that is not a string.
        ClassifierError: the encoder's features are not finite.
    """
    stripped = strip_texts(texts)
    indices = [index for index, text in enumerate(stripped) if text]
    explanations: list[Explanation | None] = [None] * len(texts)
    for start in range(0, len(indices), MAX_TEXTS):
        for index, explanation in _explain_batch(classifier, stripped, indices[start : start + MAX_TEXTS]):
            offset = texts[index].index(stripped[index])
            explanations[index] = explanation.shifted(offset)
    return explanations


def _explain_batch(
    classifier: SentimentClassifier, texts: Sequence[str], indices: Sequence[int]
) -> Iterator[tuple[int, Explanation]]:
    """Yield the explanations of the texts at `indices`, none of which is blank."""
    encoder, head = classifier.encoder, classifier.classifier
    tokens = encoder.tokenize_with_offsets([texts[index] for index in indices])
    features = encoder.encode([texts[index] for index in indices])  # (n_texts, dim)
    vectors = encoder.token_vectors([one.ids for one in tokens])  # of each text (n_tokens, hidden_size)
    probabilities = classifier.score(features)
    labels = classifier.label(probabilities)
    for row, index in enumerate(indices):
        logit, by_token, method = token_contributions(head, features[row], vectors[row], encoder.config.pooling)
        spans = [
            span if not special else None
            for span, special in zip(tokens[row].offsets, tokens[row].is_special, strict=True)
        ]
        yield (
            index,
            Explanation(
                label=str(labels[row]),
                probability=float(probabilities[row]),
                logit=logit,
                bias=logit - float(by_token.sum()),
                special_tokens=float(sum(c for c, span in zip(by_token.tolist(), spans, strict=True) if span is None)),
                words=join_words(texts[index], spans, by_token),
                method=method,
                is_truncated=tokens[row].is_truncated,
            ),
        )


def join_words(text: str, spans: Sequence[Span | None], by_token: Float64s) -> tuple[Word, ...]:
    """Return the words of `text` that have tokens, each with the sum of their contributions.

    Args:
        text: without white space at its ends.
        spans: of each token in `text`; None for a token that the encoder adds.
        by_token: contribution of each token, shape (n_tokens,).
    """
    bounds = [match.span() for match in re.finditer(r"\S+", text)]
    ends = np.array([end for _, end in bounds])
    sums: dict[int, float] = {}
    for span, contribution in zip(spans, by_token.tolist(), strict=True):
        if span is not None:
            # by its last character: the span of some tokenizers begins with the space before the word
            word = min(int(np.searchsorted(ends, max(span[1], 1))), len(bounds) - 1)
            sums[word] = sums.get(word, 0.0) + contribution
    return tuple(
        Word(text[start:end], start, end, sums[number]) for number, (start, end) in enumerate(bounds) if number in sums
    )


DECIMALS = 9  # of numbers in JSON: 512 rounded contributions still add up to the logit to 1e-6
LEVELS = ((0.7, "bold reverse"), (0.4, "bold"), (0.15, ""))  # from this share of the largest contribution on
POSITIVE, NEGATIVE = "green", "red underline"


def as_mapping(text: str, explanation: Explanation) -> dict[str, Any]:
    """Return what is written as JSON; offsets count the code points of `text`."""
    return {
        "text": text,
        "method": explanation.method,
        "logit": round(explanation.logit, DECIMALS),
        "bias": round(explanation.bias, DECIMALS),
        "special_tokens": round(explanation.special_tokens, DECIMALS),
        "is_truncated": explanation.is_truncated,
        "words": [
            {
                "text": word.text,
                "start": word.start,
                "end": word.end,
                "contribution": round(word.contribution, DECIMALS),
            }
            for word in explanation.words
        ],
    }


def should_use_color(is_terminal: bool, environment: Mapping[str, str]) -> bool:
    """Return whether to color: on a terminal that can, unless NO_COLOR is set (https://no-color.org)."""
    return is_terminal and not environment.get("NO_COLOR") and environment.get("TERM", "") not in ("", "dumb")


def words_in_color(text: str, explanation: Explanation) -> Text:
    """Return `text` with colored words; the more a word contributes, the stronger its style."""
    colored = Text(text)
    largest = max((abs(word.contribution) for word in explanation.words), default=0.0)
    for word in explanation.words:
        if style := style_of(word.contribution, largest):
            colored.stylize(style, word.start, word.end)
    return colored


def style_of(contribution: float, largest: float) -> str:
    """Return the style of a word by its share of the largest contribution; "" for a small one."""
    share = abs(contribution) / largest if largest else 0.0
    weight = next((weight for least, weight in LEVELS if share >= least), None)
    return "" if weight is None else f"{POSITIVE if contribution > 0 else NEGATIVE} {weight}".strip()


def strongest_words(words: Sequence[Word], width: int) -> str:
    """Return the words of the largest contributions with their signs, as many as `width` columns take, at least one."""
    order = sorted(words, key=lambda word: -abs(word.contribution))
    parts = [f"{word.contribution:+.2f} {printable(word.text)}" for word in order]
    line = parts[0] if parts else ""
    for part in parts[1:]:
        if cell_len(line) + 2 + cell_len(part) > width:
            break
        line += f"  {part}"
    return line


def wrapped(text: Text, width: int, use_color: bool) -> list[str]:
    """Return the lines of a text of at most `width` columns, with escape codes where `use_color`."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=use_color, no_color=not use_color,
        color_system="standard" if use_color else None, _environ={},
    )  # fmt: skip
    lines = text.wrap(console, width)
    with console.capture() as captured:
        for line in lines:
            line.rstrip()
            console.print(line, soft_wrap=True)
    return captured.get().splitlines()
