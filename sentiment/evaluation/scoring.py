"""Score the predictions of a table of reviews: metrics, metrics by slice, and the file of every prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from sentiment.common.errors import InputError, ParamsError
from sentiment.common.files import atomic
from sentiment.common.params import StageParams
from sentiment.data.labels import LABELS
from sentiment.data.text import LENGTH, SEEN_TEXTS, format_rating, hash_texts, read_seen_texts
from sentiment.evaluation.metrics import abstention_metrics, compute_metrics, metrics_by_slice


def slice_values(table: pa.Table, slices: Sequence[str], length_edges: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return the value of every row by slice, each of shape (n_samples,).

    Args:
        table: with column text, and a column for every slice but "length".
        slices: names of columns, or "length": the number of words.
        length_edges: upper bounds of the bins of "length".

    Raises:
        ParamsError: the table has no such column.
    """
    check_slices_of(table, slices)
    values = {}
    for name in slices:
        if name == LENGTH:
            words = np.array([len(text.split()) for text in table["text"].to_pylist()])
            values[name] = _length_bins(words, length_edges)
        else:
            values[name] = np.array([_slice_name(value) for value in table[name].to_pylist()], dtype=str)
    return values


def check_slices_of(table: pa.Table, slices: Sequence[str]) -> None:
    """Raise ParamsError where a table has no column for some slices."""
    if missing := [repr(name) for name in slices if name not in (*table.column_names, LENGTH)]:
        available = [column for column in table.column_names if column not in ("id", "text", "label")]
        raise ParamsError(
            f"evaluate.slices: no column {', '.join(missing)}; expected {', '.join([LENGTH, *available])}"
        )


def _slice_name(value: object) -> str:
    """Return the name of a value; a rating of 0 is a value, an empty or missing text is none."""
    if value is None or value == "":
        return "(none)"
    return format_rating(value) if isinstance(value, float) else str(value)


def _length_bins(words: NDArray[np.int64], edges: Sequence[int]) -> NDArray[np.str_]:
    """Return the bin name of each length, such as "1-20 words"."""
    bounds = [0, *sorted(edges)]
    names = [f"{low + 1}-{high} words" for low, high in pairwise(bounds)]
    names.append(f"over {bounds[-1]} words")
    return np.array(names)[np.searchsorted(bounds[1:], words, side="left")]


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of reviews.

    Attributes:
        probabilities: of label 1, shape (n_samples,).
        labels: 0 or 1, shape (n_samples,).
        is_sure: whether the answer is the label and not "unsure", shape (n_samples,); None where it always is.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int8]
    is_sure: NDArray[np.bool_] | None = None


def write_predictions(path: Path, table: pa.Table, predictions: Predictions) -> None:
    """Write id, label, probability and predicted label of every review; the metadata names the labels.

    Args:
        table: with columns id and label, one row per review.
    """
    columns = {"id": table["id"], "label": table["label"], "probability": predictions.probabilities}
    columns["predicted"] = predictions.labels
    if predictions.is_sure is not None:
        columns["sure"] = predictions.is_sure
    with atomic(path) as partial:
        pq.write_table(pa.table(columns, metadata={"labels": "\n".join(LABELS)}), partial, compression="zstd")


def count_seen(texts: Sequence[str], encoder: Path) -> int:
    """Return how many of the texts are in the list of an encoder's folder; 0 where it has no list.

    Raises:
        EncoderError: the list is damaged.
    """
    seen = read_seen_texts(encoder)
    return int(np.isin(hash_texts(texts), seen).sum()) if len(seen) else 0


def refuse_leakage(n_seen: Mapping[str, int], n_reviews: Mapping[str, int], encoder: Path, allowed: bool) -> None:
    """Raise InputError where the encoder saw reviews that are scored and that is not allowed.

    Args:
        n_seen, n_reviews: by split.
    """
    if any(n_seen.values()) and not allowed:
        seen = " and ".join(f"{n:,} of the {n_reviews[split]:,} {split} reviews" for split, n in n_seen.items() if n)
        raise InputError(
            f"{encoder / SEEN_TEXTS}: the encoder was trained on {seen}; "
            "use the split that it was trained on, or another encoder, or set evaluate.allow_leakage to true"
        )


class ScoringParams(StageParams):
    """What decides the scores, of section `evaluate` of params.yaml.

    Attributes:
        slices: columns of the table, or "length".
        length_edges: upper bounds of the bins of "length", in words.
        n_resamples, seed: of the bootstrap.
    """

    slices: tuple[str, ...]
    length_edges: tuple[int, ...]
    calibration_bins: int = Field(ge=1, le=1000)
    n_resamples: int = Field(ge=100)
    seed: int = Field(ge=0)


@dataclass(frozen=True)
class Scores:
    """What the predictions of a table are worth.

    Attributes:
        metrics: by name, as `compute_metrics` returns them.
        slices: a row per value of a slice, as `metrics_by_slice` yields them.
    """

    metrics: dict[str, float]
    slices: list[dict[str, object]]


def score(
    table: pa.Table,
    predictions: Predictions,
    params: ScoringParams,
    folds: NDArray[np.int8] | None = None,
) -> Scores:
    """Score the predictions of a table.

    Args:
        table: with columns label, text and the slices, one row per review.
        folds: of each review in cross-validation, shape (n_samples,); they decide the intervals.
    """
    parts = table["label"].to_numpy(), predictions.labels, predictions.probabilities
    settings = params.calibration_bins, params.n_resamples, params.seed
    slices = slice_values(table, params.slices, params.length_edges)
    metrics = compute_metrics(*parts, *settings, folds)
    if predictions.is_sure is not None:
        metrics |= abstention_metrics(*parts[:2], predictions.is_sure)
    return Scores(metrics, list(metrics_by_slice(*parts, *settings, slices)))
