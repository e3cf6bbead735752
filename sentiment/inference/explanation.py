"""Texts in; their words with contributions that add up to the logit out.

    explain(SentimentClassifier.load("models/classifier"), ["Soft and warm, but the seams came loose"])

What a token contributes is in `inference.contributions`; here tokens become words of the text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sentiment.inference.classifier import SentimentClassifier, strip_texts
from sentiment.inference.contributions import Float64s, Method, token_contributions

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
