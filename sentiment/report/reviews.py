"""Choose the misclassified reviews that the report shows, and mark the words that count most in each."""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sentiment.common.errors import ClassifierError, InputError
from sentiment.common.tables import batches
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import Explanation

LEVELS = (0.15, 0.4, 0.7)  # shares of the largest contribution from which a word gets the next stronger style
MAX_REVIEWS = 10  # of a table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Misclassified:
    """One review that was labeled wrongly.

    Attributes:
        confidence: probability of the predicted label.
    """

    id: str
    actual: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class MisclassifiedTable:
    """Reviews that one revision labels wrongly.

    Attributes:
        revision: the title of the revision that is wrong.
    """

    title: str
    revision: str
    rows: list[Misclassified]


@dataclass(frozen=True)
class LocalReview:
    """Text and rating of a review, from the workspace."""

    text: str
    rating: str


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


def label_names(predictions: pa.Table, name: str) -> tuple[str, ...]:
    """Return the label names of predictions; raises InputError where the predictions of revision `name` lack them."""
    metadata = predictions.schema.metadata or {}
    if b"labels" not in metadata:
        raise InputError(f"the predictions of {name} have no label names; run `dvc repro evaluate`")
    return tuple(metadata[b"labels"].decode().split("\n"))


def misclassified_tables(predictions: Mapping[str, pa.Table], compared: Collection[str]) -> list[MisclassifiedTable]:
    """Return what changed between the first revision and those compared with it; else the errors of each revision.

    Args:
        predictions: by the title of the revision, sorted by id.
        compared: titles of the revisions that are compared with the first one.
    """
    if not compared:
        return [_table(f"Most confident errors of {name}", name, table, None) for name, table in predictions.items()]
    first, table_a = next(iter(predictions.items()))
    return [
        table
        for name in compared
        for table in (
            _table(f"Wrong in {name}, correct in {first}", name, predictions[name], table_a),
            _table(f"Wrong in {first}, correct in {name}", first, table_a, predictions[name]),
        )
    ]


def _table(title: str, name: str, wrong: pa.Table, correct: pa.Table | None) -> MisclassifiedTable:
    """Return at most `MAX_REVIEWS` wrong predictions, the most confident first.

    Args:
        title: of the table.
        name: title of the revision that is wrong.
        wrong: its predictions.
        correct: predictions of the same reviews, which have to be right; None for no such condition.
    """
    labels = label_names(wrong, name)
    predicted, actual = wrong["predicted"].to_numpy(), wrong["label"].to_numpy()
    is_listed: NDArray[np.bool_] = predicted != actual
    if correct is not None:
        is_listed &= correct["predicted"].to_numpy() == correct["label"].to_numpy()
    positive = wrong["probability"].to_numpy().astype(np.float64)
    confidence = np.where(predicted == 1, positive, 1 - positive)
    indices = np.flatnonzero(is_listed)
    order = indices[np.argsort(-confidence[indices], kind="stable")][:MAX_REVIEWS]
    rows = [
        Misclassified(wrong["id"][row].as_py(), labels[actual[row]], labels[predicted[row]], float(confidence[row]))
        for row in order.tolist()
    ]
    return MisclassifiedTable(title, name, rows)


def local_reviews(table: Path, ids: Collection[str]) -> dict[str, LocalReview]:
    """Return reviews by id from a table of the workspace; none where the table is missing, as in a bare clone."""
    if not table.is_file():
        return {}
    requested = pa.array(ids, pa.string())
    rows = [batch.filter(pc.is_in(batch["id"], requested)) for batch in batches(table, ["id", "text", "rating"])]
    return {
        row["id"]: LocalReview(row["text"], f"{row['rating']:g}" if row["rating"] is not None else "")
        for batch in rows
        for row in batch.to_pylist()
    }


def explained_reviews(revision: str, texts: Mapping[str, str]) -> dict[str, list[Piece]]:
    """Return the pieces of each text, by the same key; empty where the revision's classifier is not available."""
    if not texts:
        return {}
    try:
        classifier = SentimentClassifier.load_revision(revision)
    except (ClassifierError, InputError) as error:
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
