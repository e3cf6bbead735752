"""The log of a training in; the epoch that was kept out."""

import csv
import io
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from numpy.typing import NDArray

from sentiment.common.errors import ClassifierError, InputError
from sentiment.common.tables import batches
from sentiment.evaluation.significance import Comparison
from sentiment.experiments.comparison import PREDICTIONS, compare, read_predictions, sentence
from sentiment.experiments.revisions import Revision, commit_subject, resolve
from sentiment.experiments.table import Experiment, changed_params, experiments
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import Explanation
from sentiment.report.charts import SLICES_FILE, Plot, plots, probability_histogram, threshold_curve

HEAD_LOG, ENCODER_LOG = "metrics/train", "metrics/finetune"  # folders, written by DVCLive


@dataclass(frozen=True)
class KeptEpoch:
    """The epoch of the lowest validation loss, counted from 0."""

    number: int
    val_loss: float


def kept_epoch(revision: Revision, log: str) -> KeptEpoch | None:
    """Return the kept epoch by the log in a folder; None where nothing was trained, or there is no such log.

    A baseline has no epochs, a frozen encoder none of fine-tuning, and revisions of version 1.0 no stage for it.
    """
    try:
        best = json.loads(revision.read(f"{log}/metrics.json")).get("best")
    except InputError:
        return None
    return KeptEpoch(int(best["epoch"]), float(best["val_loss"])) if best else None


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


ALL_METRICS_FILE = "data/evaluate/metrics.json"
SPLIT_FILE = "metrics/split.json"
PARAMS_FILE = "params.yaml"
TEST_TABLE = Path("data/split/test.parquet")
MAX_REVIEWS = 10  # per table of misclassified reviews
N_RESAMPLES, SEED = 10_000, 0  # of the paired bootstrap; the defaults of `sentiment compare`

Slices = Mapping[tuple[str, str], Mapping[str, float]]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class RevisionResults:
    """One revision.

    Attributes:
        metrics: of the test reviews, with their intervals.
        slices: rows, accuracy and interval by (slice, value).
        n_reviews: by split.
        head_epoch: of the head, the epoch that is kept; None for a baseline, which has no epochs.
        encoder_epoch: of fine-tuning the encoder; None where it is frozen.
        params: every value by its full name (`train.epochs`).
        subject: of the commit; empty for what is no commit.
    """

    name: str
    metrics: Mapping[str, float]
    slices: Slices
    n_reviews: Mapping[str, int]
    head_epoch: KeptEpoch | None
    encoder_epoch: KeptEpoch | None
    params: Params
    subject: str = ""


@dataclass(frozen=True)
class ReportData:
    """What the page shows.

    Attributes:
        comparison: None for one revision, or for two that cannot be compared.
        changed: names of the params that differ between the experiments.
        misclassified: tables of reviews by title.
        explained: texts of those reviews in pieces, by title and id, where the classifier of the table is available.
    """

    revisions: Sequence[RevisionResults]
    comparison: Comparison | None
    verdict: str
    experiments: Sequence[Experiment]
    changed: Sequence[str]
    plots: Sequence[Plot]
    misclassified: Mapping[str, Sequence[Misclassified]]
    reviews: Mapping[str, LocalReview]
    explained: Mapping[str, Mapping[str, Sequence[Piece]]] = field(default_factory=dict)

    @property
    def different_params(self) -> list[str]:
        """Names of the params that are not the same in all shown revisions."""
        names = dict.fromkeys(name for results in self.revisions for name in results.params)
        return [name for name in names if len({repr(results.params.get(name)) for results in self.revisions}) > 1]


def collect(names: Sequence[str]) -> ReportData:
    """Read what the report shows of one or two revisions.

    Raises:
        InputError: a revision, or one of its files, is not available.
    """
    revisions = [resolve(name) for name in names]
    results = [_results(revision) for revision in revisions]
    predictions = {revision.name: read_predictions(revision, PREDICTIONS) for revision in revisions}
    comparison, verdict = _comparison(revisions)
    rows = experiments()
    misclassified = misclassified_tables(predictions, MAX_REVIEWS, paired=comparison is not None)
    reviews = local_reviews(TEST_TABLE, {row.id for _, table in misclassified.values() for row in table})
    labels = label_names(predictions[names[0]], f"{PREDICTIONS} of {names[0]}")
    thresholds = {one.name: float(one.params["train.threshold"]) for one in results if "train.threshold" in one.params}
    kept_epochs = {
        HEAD_LOG: {one.name: one.head_epoch.number for one in results if one.head_epoch},
        ENCODER_LOG: {one.name: one.encoder_epoch.number for one in results if one.encoder_epoch},
    }
    return ReportData(
        revisions=results,
        comparison=comparison,
        verdict=verdict,
        experiments=rows,
        changed=changed_params(rows),
        plots=[
            *plots(list(kept_epochs[HEAD_LOG]), kept_epochs),
            probability_histogram(predictions, labels),
            threshold_curve(predictions, thresholds),
        ],
        misclassified={title: table for title, (_, table) in misclassified.items()},
        reviews=reviews,
        explained={
            title: explained_reviews(name, {row.id: reviews[row.id].text for row in table if row.id in reviews})
            for title, (name, table) in misclassified.items()
        },
    )


def _results(revision: Revision) -> RevisionResults:
    split = json.loads(revision.read(SPLIT_FILE))
    metrics = json.loads(revision.read(ALL_METRICS_FILE))
    return RevisionResults(
        name=revision.name,
        metrics={name: value for name, value in metrics.items() if name != "by_label"},
        slices=_slices(revision.read(SLICES_FILE).decode()),
        n_reviews={name: int(values["rows"]) for name, values in split.items()},
        head_epoch=kept_epoch(revision, HEAD_LOG),
        encoder_epoch=kept_epoch(revision, ENCODER_LOG),
        params=flat_params(yaml.safe_load(revision.read(PARAMS_FILE))),
        subject=commit_subject(revision.name),
    )


def flat_params(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of params.yaml by full name (`train.epochs`)."""
    return {f"{section}.{key}": value for section, keys in sections.items() for key, value in (keys or {}).items()}


def _slices(table: str) -> Slices:
    columns = ("rows", "accuracy", "accuracy_low", "accuracy_high")
    return {
        (row["slice"], row["value"]): {name: float(row[name]) for name in columns}
        for row in csv.DictReader(io.StringIO(table))
    }


def _comparison(revisions: Sequence[Revision]) -> tuple[Comparison | None, str]:
    """Return the comparison and its sentence, or None and the reason why two revisions cannot be compared."""
    if len(revisions) == 1:
        return None, ""
    a, b = revisions
    try:
        comparison = compare(a, b, PREDICTIONS, N_RESAMPLES, SEED)
    except InputError as error:
        return None, f"Not compared: {error}."
    return comparison, sentence(a.name, b.name, comparison)
