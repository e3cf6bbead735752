"""The wrong answers of which the classifier was most sure."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sentiment.common.tables import batches

LABELS = ("negative", "positive")


@dataclass(frozen=True)
class Mistake:
    """One wrong answer; `probability` is that of the answer given."""

    id: str
    actual: str
    predicted: str
    probability: float


def confident_mistakes(predictions: pa.Table, most: int) -> list[Mistake]:
    """Return at most `most` wrong answers, the surest first.

    Args:
        predictions: with columns id, label, predicted and probability (of label 1).
    """
    wrong = predictions.filter(pc.not_equal(predictions["label"], predictions["predicted"]))
    predicted, actual = wrong["predicted"].to_numpy(), wrong["label"].to_numpy()
    positive = wrong["probability"].to_numpy().astype(np.float64)
    sure = np.where(predicted == 1, positive, 1 - positive)
    ids = wrong["id"].to_pylist()
    return [
        Mistake(ids[row], LABELS[actual[row]], LABELS[predicted[row]], float(sure[row]))
        for row in np.argsort(-sure, kind="stable")[:most].tolist()
    ]


def local_texts(table: Path, wanted: Collection[str]) -> dict[str, str]:
    """Return the wanted reviews by id from the workspace; none where it lacks the table, as on a bare clone."""
    if not table.is_file():
        return {}
    ids = pa.array(wanted, pa.string())
    found = [batch.filter(pc.is_in(batch["id"], ids)) for batch in batches(table, ["id", "text"])]
    return {row["id"]: row["text"] for batch in found for row in batch.to_pylist()}
