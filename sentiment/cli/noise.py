"""List the reviews whose label is most likely wrong, by cross-validated margins on the features; drop nothing.

    sentiment noise                               the 50 most likely ones of all splits, as a table
    sentiment noise --top 200 --output noise.csv  the same as CSV with whole texts: share it as you would share the data

A review is scored by a logistic regression that has seen neither it nor a review of equal text. Its margin is the
probability of its label minus the probability of the other label: -1 contradicts the label most.
"""

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sentiment.cli.arguments import positive
from sentiment.common.command import printable
from sentiment.experiments import paths

COLUMNS = ("id", "split", "label", "probability", "margin", "text")


def as_table(rows: Sequence[Mapping[str, Any]], width: int) -> str:
    """Return the rows as a table of lines of at most `width` characters."""
    lines = [f"{'id':<16} split  label     probability  margin  text"]
    for row in rows:
        numbers = f"{row['probability']:>12.3f} {row['margin']:>7.3f}"
        line = f"{row['id']:<16} {row['split']:<5}  {row['label']:<8} {numbers}  {row['text']}"
        lines.append(printable(line)[:width])
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment noise`."""
    parser.add_argument("--top", type=positive, default=50, help="most likely reviews to list (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="write CSV with whole texts, and not a table")


def main(args: argparse.Namespace) -> None:
    """Read splits and features, score every review, and list the most likely mislabeled ones."""
    import numpy as np  # these take a second, which --help and a wrong argument do not need
    import pyarrow as pa
    from tqdm import tqdm

    from sentiment.common.files import write_csv
    from sentiment.common.tables import SPLITS, open_table
    from sentiment.encoder.features import read_features
    from sentiment.experiments import label_noise

    tables = {name: open_table(paths.SPLIT / f"{name}.parquet").read(["id", "text", "label"]) for name in SPLITS}
    vectors = [read_features(paths.FEATURES / f"{name}.npy", len(table)) for name, table in tables.items()]
    reviews = pa.concat_tables(
        table.append_column("split", pa.array([name] * len(table))) for name, table in tables.items()
    )
    labels = reviews["label"].to_numpy()
    folds = label_noise.assign_folds(reviews["text"].to_pylist(), labels)
    with tqdm(desc="noise", total=label_noise.N_FOLDS, unit=" folds", disable=None) as bar:
        probabilities = label_noise.out_of_fold_probabilities(np.concatenate(vectors), labels, folds, bar.update)
    rows = list(label_noise.likely_mislabeled(reviews, probabilities, args.top))
    if args.output:
        write_csv(args.output, rows, columns=COLUMNS)
    else:
        sys.stdout.write(as_table(rows, shutil.get_terminal_size((120, 24)).columns) + "\n")
