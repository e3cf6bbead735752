"""Explain a probability: the contribution of each token of a text to the logit.

With one linear layer the logit is bias + sum over j of w[j] * x[j], where x is the standardized feature vector. Mean
pooling makes x[j] a sum over tokens, so each token has its share; max pooling takes x[j] from one token, which gets all
of it. What rounding and clipping in `head.features` change is shared equally among the tokens of a mean. A token
counts against the average of the training data: a usual feature contributes nothing.

Where words count beside the features, each n-gram adds a number of its own to the logit. That of a single token is the
token's, that of a pair is shared equally by its two tokens. Tokens behind the encoder's maximum have no share of the
features, but of the words.

With more layers there is no such sum. Then w is the gradient of the logit at x ("gradient times input"; Shrikumar et
al., 2016, https://arxiv.org/abs/1605.01713), and the bias is what the contributions leave of the logit.

`split_clauses` splits a text at the ends of sentences, and where it turns: "but", "however", "although", "though".
`SentimentClassifier.predict_clauses` labels each clause as a text of its own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sentiment.data.text import decoded_pieces
from sentiment.head.features import standardize
from sentiment.head.mlp import forward, round_weights
from sentiment.head.words import Tokens

if TYPE_CHECKING:
    from sentiment.encoder.frozen import TokensWithOffsets
    from sentiment.inference.classifier import SentimentClassifier

Float64s = NDArray[np.float64]
Method = Literal["exact sum", "gradient times input"]


class Attribution(NamedTuple):
    """The logit of a text, shared out among its tokens.

    Attributes:
        probability: of "positive".
        logit: log-odds of "positive".
        by_token: contribution of each token to the logit, shape (n_tokens,).
    """

    probability: float
    logit: float
    by_token: Float64s


def attribute(classifier: "SentimentClassifier", tokens: "Sequence[TokensWithOffsets]") -> list[Attribution]:
    """Return the attribution of each text; features and token vectors are from one pass of the encoder.

    Args:
        tokens: of `SentimentClassifier.tokenize_with_offsets`.

    Raises:
        ClassifierError: the encoder's features are not finite.
    """
    head, pooling = classifier.classifier, classifier.encoder.config.pooling
    layers = round_weights(head.layers)

    def reduce(
        features: NDArray[np.float32], vectors: list[NDArray[np.float32]]
    ) -> list[tuple[NDArray[np.float32], float, Float64s]]:
        x = standardize(features, head.mean, head.std).astype(np.float64)  # (n_texts, dim)
        return [
            (row, logit, token_contributions(x_row, gradient(layers, x_row[None]), one, head.std, pooling))
            for row, logit, x_row, one in zip(features, forward(layers, x).tolist(), x, vectors, strict=True)
        ]

    reduced = classifier.encoder.encode_with_tokens([one.ids[: one.n_read] for one in tokens], reduce)
    features = np.array([row for row, _, _ in reduced], np.float32).reshape(len(tokens), classifier.encoder.dim)
    whole_ids = [one.whole_ids() for one in tokens]
    probabilities = classifier.score(features, whole_ids).tolist()
    from_words = head.words.logits(Tokens.of(whole_ids)).tolist() if head.words else [0.0] * len(tokens)
    attributions = []
    for one, whole, (_, logit, of_read), probability, of_words in zip(
        tokens, whole_ids, reduced, probabilities, from_words, strict=True
    ):
        by_token = np.zeros(len(one.ids))
        by_token[: one.n_read] = of_read
        if head.words:
            by_token[~np.array(one.is_special)] += head.words.contributions(whole)
        attributions.append(Attribution(probability, logit + of_words, by_token))
    return attributions


def token_contributions(
    x: Float64s, weights: Float64s, vectors: NDArray[np.float32], std: NDArray[np.float32], pooling: str
) -> Float64s:
    """Return the contribution of each token, shape (n_tokens,); they add up to the sum of `x` times `weights`.

    Args:
        x: standardized features of the text, shape (dim,).
        weights: of the logit, or its gradient, shape (dim,).
        vectors: the encoder's last hidden state, shape (n_tokens, hidden_size).
        std: of the training features, shape (dim,).
        pooling: of `EncoderConfig`.
    """
    n_tokens, hidden_size = vectors.shape
    contributions = np.zeros(n_tokens)
    if pooling == "cls":
        contributions[0] = x @ weights
        return contributions
    for start, kind in enumerate(kind for kind in ("mean", "max") if kind in pooling):
        columns = slice(start * hidden_size, (start + 1) * hidden_size)
        products = x[columns] * weights[columns]
        if kind == "mean":
            shares = vectors @ (weights[columns] / std[columns]) / n_tokens
            contributions += shares + (products.sum() - shares.sum()) / n_tokens
        else:
            contributions += np.bincount(vectors.argmax(axis=0), products, n_tokens)
    return contributions


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
        words: in their order, separated by white space. Those behind the encoder's maximum are left out, unless the
            classifier has weights for words, which are of the whole text.
        method: "exact sum" for one linear layer, else "gradient times input".
        is_truncated: whether the text is longer than the encoder reads; words count behind its maximum, too.
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

        Examples:
            >>> words = (Word("warm", 0, 4, 0.8),)
            >>> Explanation("positive", 0.7, 0.8, 0, 0, words, "exact sum", False).strongest_words(40)
            '+0.80 warm'
        """
        order = sorted(self.words, key=lambda word: -abs(word.contribution))
        shown = [f"{word.contribution:+.2f} {word.text}" for word in order]
        lengths = accumulate(len(word) + 2 for word in shown)  # two blanks after each
        n_shown = sum(length - 2 <= width for length in lengths)
        return "  ".join(shown[: max(1, n_shown)])


def explain(classifier: "SentimentClassifier", texts: Sequence[str]) -> list[Explanation | None]:
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


def _explain_batch(classifier: "SentimentClassifier", texts: Sequence[str]) -> Iterator[Explanation]:
    """Yield the explanations of texts, none of which is blank."""
    head = classifier.classifier
    method: Method = "exact sum" if len(head.layers) == 1 else "gradient times input"
    tokens = classifier.tokenize_with_offsets(classifier.clean(texts))
    attributions = attribute(classifier, tokens)
    labels = classifier.label(np.array([one.probability for one in attributions], np.float32))
    for row, (text, attribution) in enumerate(zip(texts, attributions, strict=True)):
        by_token = attribution.by_token
        yield Explanation(
            label=str(labels[row]),
            probability=attribution.probability,
            logit=attribution.logit,
            bias=attribution.logit - float(by_token.sum()),
            special_tokens=float(by_token[np.array(tokens[row].is_special)].sum()),
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


Span = tuple[int, int]  # start and end in the text

SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)|[;\n]+")
# "not only soft but also warm" and "nothing but trouble" do not turn
TURN = re.compile(
    r"(?<!nothing )(?<!anything )\bbut\b(?! also\b)|\bhowever\b|\balthough\b"
    r"|\beven though\b|(?<!even )(?<!as )\bthough\b",
    re.IGNORECASE,
)
CONCESSION = re.compile(r"(?:even )?(?:al)?though\b[^,]*,", re.IGNORECASE)
WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
MIN_CLAUSE_WORDS = 2  # of a clause; "pretty, though." is one clause


@dataclass(frozen=True)
class Clause:
    """A clause of a text, labeled as a text of its own.

    Attributes:
        text: of the clause.
        label: as `SentimentClassifier.predict`.
        probability: of "positive".
    """

    text: str
    label: str
    probability: float


def split_sentences(text: str) -> list[Span]:
    """Return the sentences of a text, in order; only white space is in none of them."""
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    return _between(text, 0, len(text), ends)


def split_clauses(text: str) -> list[Span]:
    """Return the clauses of a text, in order; only white space is in none of them.

    A conjunction belongs to the clause that it begins. A clause of one word is joined to the one before it in its
    sentence.

    >>> text = "Lovely fabric but runs small. Although it is pretty, I sent it back"
    >>> [text[start:end] for start, end in split_clauses(text)]
    ['Lovely fabric', 'but runs small.', 'Although it is pretty,', 'I sent it back']
    """
    return [span for start, end in split_sentences(text) for span in _clauses(text, start, end)]


def clause_texts(text: str) -> list[str]:
    """Return the texts of the clauses.

    >>> clause_texts("Lovely fabric but runs small")
    ['Lovely fabric', 'but runs small']
    """
    return [text[start:end] for start, end in split_clauses(text)]


def _clauses(text: str, start: int, end: int) -> list[Span]:
    """Return the clauses of the sentence from `start` to `end`."""
    cuts = [match.start() for match in TURN.finditer(text, start, end)]
    cuts += [match.end() for cut in [start, *cuts] if (match := CONCESSION.match(text, cut, end))]
    clauses: list[Span] = []
    for span in _between(text, start, end, sorted(set(cuts))):
        if clauses and (n_words(text, span) < MIN_CLAUSE_WORDS or n_words(text, clauses[-1]) < MIN_CLAUSE_WORDS):
            clauses[-1] = clauses[-1][0], span[1]
        else:
            clauses.append(span)
    return clauses


def n_words(text: str, span: Span) -> int:
    """Return the number of words in a part of a text."""
    return sum(1 for _ in WORD.finditer(text, *span))


def _between(text: str, start: int, end: int, cuts: list[int]) -> list[Span]:
    """Return what is between the cuts, without white space at its ends; empty spans are left out."""
    spans = []
    for first, last in zip([start, *cuts], [*cuts, end], strict=True):
        piece = text[first:last]
        if stripped := piece.strip():
            begin = first + len(piece) - len(piece.lstrip())
            spans.append((begin, begin + len(stripped)))
    return spans
