"""Evaluate the trained classifier on val and on test: metrics, plots and every prediction.

    python -m stages.evaluate --split data/split --features data/encode --encoder models/encoder
    --classifier models/classifier --behavior data/check/behavior.json --output data/evaluate --metrics metrics
    --split-metrics metrics/split.json --card models/README.md

What DVC's commands show is of val, which one may choose by. The model card is of test, and so are test.json and the
folder test of the metrics. With `split.folds` every review is tested out of fold, and what is written of val is the
same as of test.
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sentiment.common.command import run_main
from sentiment.common.errors import InputError
from sentiment.common.files import write_csv, write_json, write_text
from sentiment.common.params import StageInputs
from sentiment.common.tables import FOLD, ROWS_PER_GROUP, SCORED, TEST, VAL, open_table
from sentiment.data.text import SEEN_TEXTS, hash_texts, read_seen_texts
from sentiment.encoder.features import read_features
from sentiment.evaluation.curves import (
    calibration_curve,
    confusion_points,
    coverage_points,
    precision_recall_points,
    rank_counts,
    roc_points,
    thinned_points,
)
from sentiment.evaluation.metrics import (
    OPTIONAL_METRICS,
    PRIMARY_METRICS,
    SEEN,
    SLICE_COLUMNS,
    Predictions,
    Scores,
    ScoringParams,
    calibration_error,
    check_slices_of,
    score,
    write_predictions,
)
from sentiment.evaluation.model_card import render_model_card
from sentiment.head.classifier import ENCODER, FOLDS, Classifier, is_unsure, predict_labels
from sentiment.head.words import Tokens

log = logging.getLogger(__name__)


class Params(ScoringParams):
    """Section `evaluate` of params.yaml.

    Attributes:
        allow_leakage: whether to evaluate an encoder that was trained on val or test reviews; else the stage stops.
    """

    allow_leakage: bool


@dataclass(frozen=True)
class Evaluation:
    """What one split gives.

    Attributes:
        metrics: those of `scores`, how many of the reviews the encoder saw, and how it reads texts.
    """

    table: pa.Table
    predictions: Predictions
    scores: Scores
    metrics: dict[str, float]


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


def predict(
    classifiers: Sequence[Classifier],
    features: NDArray[np.float32],
    tokens: Tokens | None,
    folds: NDArray[np.int8] | None,
) -> Predictions:
    """Return what the classifiers say of reviews: with folds, the one of a review's fold, trained on the others.

    Args:
        classifiers: of the folds, or the one that predicts all.
        features: of the reviews, shape (n_samples, dim).
        tokens: of the reviews; None where words do not count.
        folds: of each review, shape (n_samples,); None without folds.
    """
    probabilities, labels = np.empty(len(features), np.float32), np.empty(len(features), np.int8)
    unsure = np.empty(len(features), np.bool_)
    for number, classifier in enumerate(classifiers):
        rows = slice(None) if folds is None else folds == number  # a slice copies no features
        probabilities[rows] = classifier.predict_proba(features[rows], None if tokens is None else tokens[rows])
        labels[rows] = predict_labels(probabilities[rows], classifier.config.threshold)
        unsure[rows] = is_unsure(probabilities[rows], classifier.config.unsure)
    return Predictions(probabilities, labels, ~unsure if classifiers[0].config.unsure else None)


def evaluate(
    table: pa.Table, features: NDArray[np.float32], classifier: Classifier, folder: Path, n_seen: int, params: Params
) -> Evaluation:
    """Predict and score the reviews of a split.

    Args:
        table: of the split; where it has folds, each review is scored by the classifier of its own.
        features: of its reviews, shape (n_samples, dim).
        folder: of the classifier, with the encoder's tokenizer and the classifiers of the folds.
        n_seen: reviews that the encoder was trained on.

    Raises:
        ClassifierError: the classifier of a fold is missing or damaged.
    """
    folds = table[FOLD].to_numpy() if FOLD in table.schema.names else None
    classifiers = [classifier]
    if folds is not None:
        classifiers = [Classifier.load(folder / FOLDS / str(number)) for number in range(int(folds.max()) + 1)]
    tokens = None
    if any(one.words for one in classifiers):
        texts = (chunk["text"].to_pylist() for chunk in table.select(["text"]).to_batches(ROWS_PER_GROUP))
        tokens = Tokens.read(folder / ENCODER, texts)
    predictions = predict(classifiers, features, tokens, folds)
    scores = score(table, predictions, params, folds)
    metrics = {**scores.metrics, SEEN: n_seen}
    if classifier.config.temperature != 1:
        uncalibrated = [one.divided(1 / one.config.temperature) for one in classifiers]
        before = predict(uncalibrated, features, tokens, folds).probabilities
        metrics["uncalibrated_error"] = calibration_error(table["label"].to_numpy(), before, params.calibration_bins)
    coverage = classifier.config.features.coverage
    metrics |= coverage.model_dump(include={"unknown_tokens", "truncated_texts"}) if coverage else {}
    return Evaluation(table, predictions, scores, metrics)


def write_split(predictions: Path, primary: Path, folder: Path, one: Evaluation, params: Params) -> None:
    """Write the files of one split.

    Args:
        predictions: the Parquet file of its predictions.
        primary: the JSON file of its primary metrics.
        folder: of its slices and of the folder of its plots.
    """
    write_predictions(predictions, one.table, one.predictions)
    optional = [metric.name for metric in OPTIONAL_METRICS if metric.name in one.metrics]
    others = [name for name in one.metrics if name not in one.scores.metrics and name not in optional]
    write_json(primary, {name: one.metrics[name] for name in (*PRIMARY_METRICS, *optional, *others)})
    write_csv(folder / "slices.csv", one.scores.slices, columns=SLICE_COLUMNS)
    actual, plots = one.table["label"].to_numpy(), folder / "plots"
    predicted, probabilities = one.predictions.labels, one.predictions.probabilities
    write_csv(plots / "confusion.csv", confusion_points(actual, predicted))
    coverage, risk = coverage_points(actual, predicted, probabilities)
    write_csv(plots / "coverage.csv", thinned_points(coverage=coverage, risk=risk))
    write_csv(plots / "calibration.csv", list(calibration_curve(actual, probabilities, params.calibration_bins)))
    ranking = rank_counts(actual, probabilities)
    false_rate, true_rate = roc_points(ranking)
    write_csv(plots / "roc.csv", thinned_points(false_positive_rate=false_rate, true_positive_rate=true_rate))
    precision, recall = precision_recall_points(ranking)
    write_csv(plots / "precision_recall.csv", thinned_points(recall=recall, precision=precision))


def main() -> None:
    """Read the arguments and inputs, do the work, write the outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="settings (default: %(default)s)")
    parser.add_argument("--split", type=Path, required=True, help="the folder of val and test tables (Parquet)")
    parser.add_argument("--features", type=Path, required=True, help="the folder of their features (.npy)")
    parser.add_argument("--encoder", type=Path, required=True, help="the encoder, with the list of texts that it saw")
    parser.add_argument("--classifier", type=Path, required=True, help="the folder of the trained classifier")
    parser.add_argument("--behavior", type=Path, required=True, help="the results of the stage check (JSON)")
    parser.add_argument("--output", type=Path, required=True, help="the folder of predictions and all metrics to write")
    parser.add_argument("--metrics", type=Path, required=True, help="the folder of primary metrics and plots to write")
    parser.add_argument("--split-metrics", type=Path, required=True, help="the sizes of the splits (JSON)")
    parser.add_argument("--card", type=Path, required=True, help="the model card to write")
    args = parser.parse_args()

    inputs = StageInputs(args.params, "evaluate", Params)
    params = inputs.params
    tables = {name: args.split / f"{name}.parquet" for name in SCORED}
    features = {name: args.features / f"{name}.npy" for name in SCORED}
    inputs.watch(*tables.values(), *features.values(), args.encoder, args.classifier, args.behavior, args.split_metrics)
    classifier = Classifier.load(args.classifier)
    has_folds = FOLD in open_table(tables[TEST]).schema_arrow.names
    read = {name: open_table(tables[name]).read() for name in ((TEST,) if has_folds else SCORED)}
    for table in read.values():
        check_slices_of(table, params.slices)
    seen = read_seen_texts(args.encoder)
    n_seen = {name: int(np.isin(hash_texts(table["text"].to_pylist()), seen).sum()) for name, table in read.items()}
    refuse_leakage(n_seen, {name: len(table) for name, table in read.items()}, args.encoder, params.allow_leakage)
    by_split = {
        name: evaluate(
            table, read_features(features[name], len(table)), classifier, args.classifier, n_seen[name], params
        )
        for name, table in read.items()
    }
    val, test = by_split.get(VAL, by_split[TEST]), by_split[TEST]

    split = json.loads(args.split_metrics.read_text(encoding="utf-8"))
    behavior = json.loads(args.behavior.read_text(encoding="utf-8"))
    write_text(args.card, render_model_card(classifier.config, split, test.metrics, test.scores.slices, behavior))
    for name, folder, one in ((VAL, args.metrics, val), (TEST, args.metrics / TEST, test)):
        write_split(args.output / f"{name}.parquet", args.metrics / f"{name}.json", folder, one, params)
    write_json(
        args.output / "metrics.json",
        {name: {**one.metrics, "slices": one.scores.slices} for name, one in ((VAL, val), (TEST, test))},
    )
    inputs.check_unchanged()
    log.info(
        "evaluate: %(rows)d %(what)s, accuracy %(accuracy).4f (%(accuracy_low).4f to %(accuracy_high).4f), "
        "ROC AUC %(roc_auc).4f (%(roc_auc_low).4f to %(roc_auc_high).4f)",
        {"what": "cross-validated reviews" if has_folds else "val reviews", **val.metrics},
    )


if __name__ == "__main__":
    run_main(main)
