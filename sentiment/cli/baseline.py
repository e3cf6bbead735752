"""Trains what a classifier should beat, on the workspace's split: TF-IDF with logistic regression; the majority class.

    sentiment baseline                    writes data/baseline/tfidf and data/baseline/majority
    sentiment compare tfidf workspace     is the pipeline's classifier better than TF-IDF?
    sentiment report tfidf workspace      the same as an HTML page
    sentiment baseline --grid 1 10        other values of C, the inverse strength of the L2 penalty
    sentiment baseline --features data/encode     also data/baseline/tfidf-features: both side by side

The value of C with the lowest log loss on val is kept; the table shows the others. Test reviews are only scored. Run it
again after a change of the split.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray
from tqdm import tqdm

from sentiment.common.errors import ParamsError
from sentiment.common.params import load_params
from sentiment.common.tables import SPLITS, open_table
from sentiment.encoder.features import read_features
from sentiment.experiments.baseline import (
    BASELINES,
    BASELINES_FOLDER,
    MAJORITY,
    TFIDF,
    TFIDF_FEATURES,
    EvaluationParams,
    Scored,
    write_baseline,
)

C_GRID = (1.0, 3.0, 10.0, 30.0, 100.0)  # inverse strengths of the L2 penalty
PARAMS = Path("params.yaml")
RECORDED = ("prepare", "split", "evaluate")  # sections of params.yaml that a baseline depends on


def train_baselines(
    tables: Mapping[str, pa.Table], features: Mapping[str, NDArray[np.float32]] | None, c_grid: Sequence[float]
) -> dict[str, Scored]:
    """Train the baselines; return the probabilities of the test reviews, and what else is recorded, by name.

    Args:
        tables: train, val and test, with columns text and label.
        features: of the encoder by split, shape (n_samples, dim); None leaves out TFIDF_FEATURES.
        c_grid: values of C to try.

    Raises:
        InputError: no word is in two train reviews.
    """
    from sentiment.experiments.baseline import (  # 1 s of imports
        VECTORIZER,
        best,
        side_by_side,
        tfidf_vectors,
        train_grid,
    )

    vectors = {TFIDF: tfidf_vectors(tables)}
    if features is not None:
        vectors[TFIDF_FEATURES] = side_by_side(vectors[TFIDF], features)
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in VECTORIZER.items()}
    scored = {}
    with tqdm(desc="baseline", total=len(vectors) * len(c_grid), unit=" models", disable=None) as bar:
        for name, by_split in vectors.items():
            candidates = []
            for candidate in train_grid(by_split, tables, c_grid):
                candidates.append(candidate)
                bar.update()
            kept = best(candidates)
            scored[name] = Scored(
                kept.predict_proba(by_split["test"]),
                kept.metrics,
                {"C": kept.c, **settings, "dim": by_split["train"].shape[1]},
                [{"C": one.c, **one.metrics} for one in candidates],
            )
    train_share, val_share = (float(np.mean(tables[name]["label"].to_numpy())) for name in ("train", "val"))
    val_accuracy = val_share if train_share >= 0.5 else 1 - val_share
    constant = np.full(len(tables["test"]), train_share, dtype=np.float32)
    scored[MAJORITY] = Scored(constant, {"accuracy": val_accuracy, "roc_auc": 0.5}, {"probability": train_share}, [])
    return scored


def as_text(name: str, scored: Scored, metrics: Mapping[str, Any]) -> str:
    """Return the grid of a baseline on val as a table, and one line with its test metrics."""
    lines = []
    if scored.grid:
        lines.append(f"{name}: {scored.settings['dim']:,} dimensions; val:")
        lines.append(f"{'C':>8}{'accuracy':>10}{'ROC AUC':>9}{'log loss':>10}")
    for one in scored.grid:
        row = f"{one['C']:>8g}{one['accuracy']:>10.4f}{one['roc_auc']:>9.4f}{one['log_loss']:>10.4f}"
        lines.append(f"{row}   kept" if one["C"] == scored.settings["C"] else row)
    accuracy, auc = (
        f"{metrics[key]:.4f} ({metrics[f'{key}_low']:.4f} to {metrics[f'{key}_high']:.4f})"
        for key in ("accuracy", "roc_auc")
    )
    lines.append(f"{name} ({BASELINES[name]}): {metrics['rows']:,} test reviews, accuracy {accuracy}, ROC AUC {auc}")
    return "\n".join(lines)


def read_vectors(folder: Path, tables: Mapping[str, pa.Table]) -> dict[str, NDArray[np.float32]]:
    """Return the features of each split; raises InputError where they do not fit the tables."""
    return {name: read_features(folder / f"{name}.npy", len(table)) for name, table in tables.items()}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment baseline`."""
    shown = " ".join(f"{c:g}" for c in C_GRID)
    parser.add_argument("--grid", type=float, nargs="+", metavar="C", default=C_GRID, help=f"default: {shown}")
    parser.add_argument("--split", type=Path, default=Path("data/split"), help="tables (default: %(default)s)")
    parser.add_argument("--features", type=Path, help="features, for the baseline with TF-IDF and features")


def main(args: argparse.Namespace) -> None:
    """Read the split and params.yaml, train, write the folders, and print the grids and the test metrics."""
    if wrong := [c for c in args.grid if not 0 < c < float("inf")]:
        raise ParamsError(f"--grid {wrong[0]:g}: expected a number above 0")
    params = load_params(PARAMS, "evaluate", EvaluationParams)
    sections = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    recorded = {name: sections[name] for name in RECORDED if name in sections}
    tables = {name: open_table(args.split / f"{name}.parquet").read() for name in SPLITS}
    features = read_vectors(args.features, tables) if args.features else None
    n_reviews = {name: len(table) for name, table in tables.items()}
    for name, scored in train_baselines(tables, features, args.grid).items():
        params_of_baseline = {**recorded, name: scored.settings}
        folder = BASELINES_FOLDER / name
        metrics = write_baseline(folder, tables["test"], scored, params, params_of_baseline, n_reviews)
        sys.stdout.write(as_text(name, scored, metrics) + "\n")
