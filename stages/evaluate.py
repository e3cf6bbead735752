"""Evaluate the trained classifier on test: metrics, plots and every prediction.

python -m stages.evaluate --table data/split/test.parquet --features data/encode/test.npy
--encoder models/encoder --classifier models/classifier --predictions data/evaluate/predictions.parquet
--all-metrics data/evaluate/metrics.json --metrics metrics --split-metrics metrics/split.json --card models/README.md
"""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sentiment.common.command import run_main
from sentiment.common.files import write_csv, write_json, write_text
from sentiment.common.params import StageInputs
from sentiment.common.tables import FOLD, open_table
from sentiment.data.labels import predict_labels
from sentiment.encoder.features import read_features
from sentiment.evaluation.metrics import (
    PRIMARY_METRICS,
    SLICE_COLUMNS,
    calibration_curve,
    confusion_counts,
    confusion_points,
    precision_recall_points,
    rank_counts,
    roc_points,
    thinned_points,
)
from sentiment.evaluation.model_card import render_model_card
from sentiment.evaluation.scoring import (
    ScoringParams,
    check_slices_of,
    count_seen,
    refuse_leakage,
    score,
    write_predictions,
)
from sentiment.head.classifier import FOLDS, Classifier

SEEN = "test_reviews_seen_by_encoder"

log = logging.getLogger(__name__)


class Params(ScoringParams):
    """Section `evaluate` of params.yaml.

    Attributes:
        allow_leakage: whether to evaluate an encoder that was trained on test reviews; else the stage stops.
    """

    allow_leakage: bool


def predict(
    folder: Path, classifier: Classifier, table: pa.Table, features: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int8] | None]:
    """Return the probability of "positive" of each review, and its fold; None where the reviews are split once.

    With folds, the classifier of a review's fold predicts it, which was trained on the others.

    Args:
        folder: of the classifier.
        table: test reviews, with the column `FOLD` where there are folds.
        features: of the reviews, shape (n_samples, dim).

    Raises:
        ClassifierError: the classifier of a fold is missing or damaged.
    """
    if FOLD not in table.column_names:
        return classifier.predict_proba(features), None
    folds = table[FOLD].to_numpy()
    probabilities = np.empty(len(folds), np.float32)
    for number in range(int(folds.max()) + 1):
        rows = folds == number
        probabilities[rows] = Classifier.load(folder / FOLDS / str(number)).predict_proba(features[rows])
    return probabilities, folds


def write_plots(folder: Path, actual: NDArray[np.int8], probabilities: NDArray[np.float32], params: Params) -> None:
    """Write the points of the calibration, ROC and precision-recall curves.

    Args:
        actual: labels 0 or 1, shape (n_samples,).
        probabilities: of "positive", shape (n_samples,).
    """
    write_csv(folder / "calibration.csv", list(calibration_curve(actual, probabilities, params.calibration_bins)))
    ranking = rank_counts(actual, probabilities)
    false_rate, true_rate = roc_points(ranking)
    write_csv(folder / "roc.csv", thinned_points(false_positive_rate=false_rate, true_positive_rate=true_rate))
    precision, recall = precision_recall_points(ranking)
    write_csv(folder / "precision_recall.csv", thinned_points(recall=recall, precision=precision))


def main() -> None:
    """Read the arguments and inputs, do the work, write the outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="settings (default: %(default)s)")
    parser.add_argument("--table", type=Path, required=True, help="the test table (Parquet)")
    parser.add_argument("--features", type=Path, required=True, help="its features (.npy)")
    parser.add_argument("--encoder", type=Path, required=True, help="the encoder, with the list of texts that it saw")
    parser.add_argument("--classifier", type=Path, required=True, help="the folder of the trained classifier")
    parser.add_argument("--predictions", type=Path, required=True, help="the Parquet file of predictions to write")
    parser.add_argument("--all-metrics", type=Path, required=True, help="every metric, also by label (JSON) to write")
    parser.add_argument("--metrics", type=Path, required=True, help="the folder of primary metrics and plots to write")
    parser.add_argument("--split-metrics", type=Path, required=True, help="the sizes of the splits (JSON)")
    parser.add_argument("--card", type=Path, required=True, help="the model card to write")
    args = parser.parse_args()

    inputs = StageInputs(args.params, "evaluate", Params)
    params = inputs.params
    inputs.watch(args.table, args.features, args.encoder, args.classifier, args.split_metrics)
    classifier = Classifier.load(args.classifier)
    table = open_table(args.table).read()
    check_slices_of(table, params.slices)
    n_seen = count_seen(table["text"].to_pylist(), args.encoder)
    refuse_leakage(n_seen, len(table), args.encoder, params.allow_leakage)
    probabilities, folds = predict(args.classifier, classifier, table, read_features(args.features, len(table)))
    threshold = classifier.config.threshold
    scores = score(table, probabilities, threshold, params, folds)
    coverage = classifier.config.features.coverage
    read = coverage.model_dump(include={"unknown_tokens", "truncated_texts"}) if coverage else {}
    metrics = {**scores.metrics, SEEN: n_seen, **read}

    actual = table["label"].to_numpy()
    split = json.loads(args.split_metrics.read_text(encoding="utf-8"))
    write_text(args.card, render_model_card(classifier.config, split, metrics, scores.slices))
    write_json(args.metrics / "evaluate.json", {name: metrics[name] for name in (*PRIMARY_METRICS, SEEN, *read)})
    write_json(args.all_metrics, {**metrics, "by_label": scores.by_label})
    write_csv(args.metrics / "slices.csv", scores.slices, columns=SLICE_COLUMNS)
    confusion = confusion_counts(actual, predict_labels(probabilities, threshold))
    write_csv(args.metrics / "plots" / "confusion.csv", confusion_points(confusion))
    write_plots(args.metrics / "plots", actual, probabilities, params)
    write_predictions(args.predictions, table, probabilities, threshold)
    inputs.check_unchanged()
    log.info(
        "evaluate: %(rows)d test reviews, accuracy %(accuracy).4f (%(accuracy_low).4f to %(accuracy_high).4f), "
        "ROC AUC %(roc_auc).4f (%(roc_auc_low).4f to %(roc_auc_high).4f)",
        metrics,
    )


if __name__ == "__main__":
    run_main(main)
