"""Predictions in, the reviews to look at out: confident errors, or reviews on which two revisions disagree."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sentiment.common.errors import InputError
from sentiment.common.tables import batches
from sentiment.tracking.comparison import PREDICTIONS


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
class LocalReview:
    """Text and rating of a review, from the workspace."""

    text: str
    rating: str


def label_names(predictions: pa.Table, name: str) -> tuple[str, ...]:
    """Return the label names of predictions; raises InputError where the file `name` does not have them."""
    metadata = predictions.schema.metadata or {}
    if b"labels" not in metadata:
        raise InputError(f"{name}: has no label names; run `dvc repro evaluate`")
    return tuple(metadata[b"labels"].decode().split("\n"))


def misclassified_tables(
    predictions: Mapping[str, pa.Table], n: int, paired: bool
) -> dict[str, tuple[str, list[Misclassified]]]:
    """Return by title the revision that is wrong, and at most `n` reviews.

    Args:
        predictions: by revision.
        n: the maximum in each table.
        paired: whether there are two, of the same reviews; then the reviews on which they disagree.
    """
    labels = {name: label_names(table, f"{PREDICTIONS} of {name}") for name, table in predictions.items()}
    if not paired:
        return {
            f"Most confident errors of {name}": (name, confident_errors(table, labels[name], n))
            for name, table in predictions.items()
        }
    (a, table_a), (b, table_b) = predictions.items()
    return {
        f"Wrong in {b}, correct in {a}": (b, newly_wrong(table_a, table_b, labels[b], n)),
        f"Wrong in {a}, correct in {b}": (a, newly_wrong(table_b, table_a, labels[a], n)),
    }


def confident_errors(predictions: pa.Table, labels: tuple[str, ...], n: int) -> list[Misclassified]:
    """Return at most `n` wrong predictions, the most confident first.

    Args:
        predictions: with columns id, label, predicted and probability (of label 1).
        labels: names of the labels 0 and 1.
        n: the maximum.
    """
    return _errors(predictions, labels, np.ones(len(predictions), dtype=bool), n)


def newly_wrong(before: pa.Table, after: pa.Table, labels: tuple[str, ...], n: int) -> list[Misclassified]:
    """Return at most `n` reviews that `before` labels correctly and `after` does not, `after`'s most confident first.

    Args:
        before, after: predictions of the same reviews, sorted by id.
        labels: names of the labels 0 and 1.
        n: the maximum.
    """
    was_correct = pc.equal(before["label"], before["predicted"]).to_numpy()
    return _errors(after, labels, was_correct, n)


def _errors(table: pa.Table, labels: tuple[str, ...], selected: NDArray[np.bool_], n: int) -> list[Misclassified]:
    predicted, actual = table["predicted"].to_numpy(), table["label"].to_numpy()
    positive = table["probability"].to_numpy().astype(np.float64)
    confidence = np.where(predicted == 1, positive, 1 - positive)
    indices = np.flatnonzero(selected & (predicted != actual))
    order = indices[np.argsort(-confidence[indices], kind="stable")][:n]
    ids = table["id"].take(order).to_pylist()
    return [
        Misclassified(review, labels[actual[row]], labels[predicted[row]], float(confidence[row]))
        for review, row in zip(ids, order.tolist(), strict=True)
    ]


def local_reviews(table: Path, ids: Collection[str]) -> dict[str, LocalReview]:
    """Return reviews by id from a table of the workspace; none where the table is missing, as in a bare clone."""
    if not table.is_file():
        return {}
    requested = pa.array(ids, pa.string())
    columns = ["id", "text", "rating"]
    rows = [batch.filter(pc.is_in(batch["id"], requested)) for batch in batches(table, columns)]
    return {
        row["id"]: LocalReview(row["text"], f"{row['rating']:g}" if row["rating"] is not None else "")
        for batch in rows
        for row in batch.to_pylist()
    }
