"""A revision and reviews in, their texts in pieces that show which words made the label out."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sentiment.common.errors import ClassifierError
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import Explanation

log = logging.getLogger(__name__)

LEVELS = (0.15, 0.4, 0.7)  # shares of the largest contribution from which a word gets the next stronger style


@dataclass(frozen=True)
class Piece:
    """A word of a review, or the text between two words.

    Attributes:
        text: as in the review.
        level: 0 for a word that counts little, and for what is no word; else 1 to 3.
        contribution: to the logit of "positive"; 0 for what is no word.
    """

    text: str
    level: int = 0
    contribution: float = 0.0


def explained_reviews(revision: str, texts: Mapping[str, str]) -> dict[str, list[Piece]]:
    """Return the pieces of each text, by the same key; empty where the revision's classifier is not available."""
    if not texts:
        return {}
    try:
        classifier = SentimentClassifier.load_revision(revision)
    except ClassifierError as error:
        log.info("report: words of %s are not colored: %s", revision, error)
        return {}
    explanations = classifier.explain(list(texts.values()))
    return {
        key: list(pieces(text, explanation))
        for (key, text), explanation in zip(texts.items(), explanations, strict=True)
        if explanation is not None
    }


def pieces(text: str, explanation: Explanation) -> Iterator[Piece]:
    """Yield the text in pieces, every character of it once."""
    largest = max((abs(word.contribution) for word in explanation.words), default=0.0)
    end = 0
    for word in explanation.words:
        if word.start > end:
            yield Piece(text[end : word.start])
        share = abs(word.contribution) / largest if largest else 0.0
        yield Piece(text[word.start : word.end], sum(share >= level for level in LEVELS), word.contribution)
        end = word.end
    if end < len(text):
        yield Piece(text[end:])
