"""Lists the reviews whose label is most likely wrong, by cross-validated margins on the features; drops nothing.

    sentiment noise                               the 50 most likely ones of all splits, as a table
    sentiment noise --top 200 --output noise.csv  the same as CSV with whole texts: share it as you would share the data
    sentiment noise --flip 0.02                   a check: change 2% of the labels at random, count how many are found

A review is scored by a logistic regression that was trained without it. Its margin is the probability of its label
minus that of the other one: -1 contradicts the label most. At the end: test accuracy with and without the listed test
reviews.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from sentiment.common.errors import InputError, ParamsError
from sentiment.common.files import write_csv
from sentiment.common.tables import SPLITS, open_table
from sentiment.encoder.features import read_features
from sentiment.evaluation.bootstrap import percentile_interval, resample
from sentiment.experiments.comparison import PREDICTIONS
from sentiment.experiments.label_noise import flip_labels, margins, out_of_fold_probabilities
from sentiment.head.classifier import LABELS

COLUMNS = ("id", "split", "label", "probability", "margin", "text")
N_RESAMPLES = 10_000  # of the bootstrap, as in the stage evaluate


def read_reviews(split: Path, features: Path) -> tuple[pa.Table, NDArray[np.float32]]:
    """Return id, text, label and split of all reviews, and their features of shape (n_samples, dim).

    Raises:
        InputError: a table or a file of features is missing, damaged, or of other reviews.
    """
    tables, vectors = [], []
    for name in SPLITS:
        table = open_table(split / f"{name}.parquet").read(["id", "text", "label"])
        tables.append(table.append_column("split", pa.array([name] * len(table))))
        vectors.append(read_features(features / f"{name}.npy", len(table)))
    return pa.concat_tables(tables), np.concatenate(vectors)


def likely_mislabeled(reviews: pa.Table, probabilities: NDArray[np.float64], n: int) -> Iterator[dict[str, Any]]:
    """Yield at most `n` reviews with a negative margin, the lowest first; see COLUMNS.

    Args:
        reviews: with columns id, text, label and split.
        probabilities: of "positive", shape (n_samples,), by a classifier that has not seen the review.
    """
    of_reviews = margins(probabilities, reviews["label"].to_numpy())
    for index in np.argsort(of_reviews, kind="stable")[:n].tolist():
        if of_reviews[index] >= 0:
            return
        row = {name: reviews[name][index].as_py() for name in ("id", "split", "text")}
        label = LABELS[reviews["label"][index].as_py()]
        yield row | {"label": label, "probability": float(probabilities[index]), "margin": float(of_reviews[index])}


def without_listed(predictions: pa.Table, listed: set[str]) -> str:
    """Return test accuracy with its interval, of all test reviews and without the listed ones, as text."""
    kept = np.array([review not in listed for review in predictions["id"].to_pylist()])
    everything, rest = _accuracy(predictions), _accuracy(predictions.filter(pa.array(kept)))
    n_listed = int((~kept).sum())
    return (
        f"test accuracy {everything}; without the {n_listed} listed test reviews {rest}. The list prefers reviews that "
        "a classifier like this one gets wrong, so the second is an upper bound."
    )


def _accuracy(predictions: pa.Table) -> str:
    label, predicted = (predictions[name].to_numpy().astype(np.int8) for name in ("label", "predicted"))
    probability = predictions["probability"].to_numpy().astype(np.float32)
    resampled = resample(label, predicted[None], probability[None], N_RESAMPLES, seed=0)
    low, high = percentile_interval(resampled["accuracy"][0])
    return f"{float((label == predicted).mean()):.4f} ({low:.4f} to {high:.4f})"


def found_flips(labels: NDArray[np.int8], probabilities: NDArray[np.float64], flipped: NDArray[np.bool_]) -> str:
    """Return how many of n changed labels are among the first n and the first 2 n of the list, as text."""
    order, n = np.argsort(margins(probabilities, labels), kind="stable"), int(flipped.sum())
    lines = [f"{n:,} of {len(labels):,} labels changed at random"]
    for size in (n, 2 * n):
        n_found = int(flipped[order[:size]].sum())
        rates = f"precision {n_found / size:.3f}, recall {n_found / n:.3f}"
        lines.append(f"the first {size:,} of the list: {n_found:,} of them, {rates}")
    return "\n".join(lines)


def as_table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table whose lines are as wide as the terminal."""
    lines = [f"{'id':<16} split  label     probability  margin  text"]
    width = shutil.get_terminal_size((120, 24)).columns
    for row in rows:
        numbers = f"{row['probability']:>12.3f} {row['margin']:>7.3f}"
        line = f"{row['id']:<16} {row['split']:<5}  {row['label']:<8} {numbers}  {row['text']}"
        lines.append(" ".join(line.splitlines())[:width])
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment noise`."""
    parser.add_argument("--top", type=int, default=50, help="most likely reviews to list (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="write CSV with whole texts, and not a table")
    parser.add_argument("--flip", type=float, metavar="SHARE", help="share of labels to change at random, and to find")
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validation (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of folds and --flip (default: %(default)s)")
    parser.add_argument("--split", type=Path, default=Path("data/split"), help="tables (default: %(default)s)")
    parser.add_argument("--features", type=Path, default=Path("data/encode"), help="(default: %(default)s)")
    parser.add_argument("--predictions", type=Path, default=Path(PREDICTIONS), help="(default: %(default)s)")


def main(args: argparse.Namespace) -> None:
    """Read splits and features, score every review, and list the most likely mislabeled ones."""
    if args.top < 1 or args.folds < 2 or args.seed < 0:
        raise ParamsError("expected --top 1 or more, --folds 2 or more, --seed 0 or more")
    if args.flip is not None and not 0 < args.flip <= 0.5:
        raise ParamsError(f"--flip {args.flip:g}: expected a share above 0, at most 0.5")
    reviews, features = read_reviews(args.split, args.features)
    labels, flipped = reviews["label"].to_numpy(), None
    if args.flip is not None:
        labels, flipped = flip_labels(labels, args.flip, args.seed)
    if (rarest := int(np.bincount(labels, minlength=2).min())) < args.folds:
        raise InputError(f"{args.split}: a label has only {rarest} reviews, expected one in each of {args.folds} folds")
    with tqdm(desc="noise", total=args.folds, unit=" folds", disable=None) as bar:
        probabilities = out_of_fold_probabilities(features, labels, args.folds, args.seed, bar.update)
    if flipped is not None:
        sys.stdout.write(found_flips(labels, probabilities, flipped) + "\n")
        return
    predictions = open_table(args.predictions).read()  # in file order, for the same resamples as in evaluate
    rows = list(likely_mislabeled(reviews, probabilities, args.top))
    if args.output:
        write_csv(args.output, rows, columns=COLUMNS)
    else:
        sys.stdout.write(as_table(rows) + "\n\n")
    sys.stdout.write(without_listed(predictions, {str(row["id"]) for row in rows}) + "\n")
