"""Trains what a classifier should beat, on the workspace's split: TF-IDF with logistic regression; the majority class.

    sentiment baseline                    writes data/baseline/tfidf and data/baseline/majority
    sentiment compare tfidf workspace     is the pipeline's classifier better than TF-IDF?
    sentiment report tfidf workspace      the same as an HTML page
    sentiment baseline --grid 1 10        other values of C, the inverse strength of the L2 penalty

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
from tqdm import tqdm

from sentiment.baseline.folder import BASELINES, BASELINES_FOLDER, MAJORITY, TFIDF, EvaluationParams, write_baseline
from sentiment.common.errors import ParamsError
from sentiment.common.params import load_params
from sentiment.common.tables import SPLITS, open_table

C_GRID = (1.0, 3.0, 10.0, 30.0, 100.0)  # inverse strengths of the L2 penalty
PARAMS = Path("params.yaml")


def train_baselines(
    tables: Mapping[str, pa.Table], c_grid: Sequence[float], params: EvaluationParams, sections: Mapping[str, Any]
) -> str:
    """Train and score the baselines, write their folders, and return what happened as text.

    Args:
        tables: train, val and test, with columns id, text and label.
        c_grid: values of C to try.
        sections: of params.yaml, recorded with the baselines.

    Raises:
        InputError: no word is in two train reviews.
    """
    from sentiment.baseline.tfidf import VECTORIZER, TfidfGrid, best  # scikit-learn takes a second to import

    n_reviews = {name: len(table) for name, table in tables.items()}
    recorded = {name: sections[name] for name in ("prepare", "split", "evaluate") if name in sections}
    test = tables["test"]
    grid = TfidfGrid(tables["train"], tables["val"])
    candidates = list(tqdm(grid.candidates(c_grid), "baseline", len(c_grid), unit=" values of C", disable=None))
    kept = best(candidates)
    settings = {"C": kept.c, **{name: str(value) for name, value in VECTORIZER.items()}}
    metrics = {
        TFIDF: write_baseline(
            BASELINES_FOLDER / TFIDF, test, grid.predict_proba(kept, test["text"].to_pylist()), params,
            {**recorded, "tfidf": settings}, n_reviews,
        )
    }  # fmt: skip
    share = float(np.mean(tables["train"]["label"].to_numpy()))
    constant = np.full(len(test), share, dtype=np.float32)
    metrics[MAJORITY] = write_baseline(BASELINES_FOLDER / MAJORITY, test, constant, params, recorded, n_reviews)

    lines = [f"{TFIDF}: {grid.n_ngrams:,} words and pairs of words; val:", ""]
    lines.append(f"{'C':>8}{'accuracy':>10}{'ROC AUC':>9}{'log loss':>10}")
    for one in candidates:
        val = one.metrics
        row = f"{one.c:>8g}{val['accuracy']:>10.4f}{val['roc_auc']:>9.4f}{val['log_loss']:>10.4f}"
        lines.append(f"{row}   kept" if one is kept else row)
    return "\n".join([*lines, "", *(_summary(name, values) for name, values in metrics.items())])


def _summary(name: str, metrics: Mapping[str, float]) -> str:
    accuracy, auc = (
        f"{metrics[key]:.4f} ({metrics[f'{key}_low']:.4f} to {metrics[f'{key}_high']:.4f})"
        for key in ("accuracy", "roc_auc")
    )
    return f"{name} ({BASELINES[name]}): {metrics['rows']:,} test reviews, accuracy {accuracy}, ROC AUC {auc}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment baseline`."""
    shown = " ".join(f"{c:g}" for c in C_GRID)
    parser.add_argument("--grid", type=float, nargs="+", metavar="C", default=C_GRID, help=f"default: {shown}")
    parser.add_argument("--split", type=Path, default=Path("data/split"), help="tables (default: %(default)s)")


def main(args: argparse.Namespace) -> None:
    """Read the split and params.yaml, train, and print the grid and the test metrics."""
    if wrong := [c for c in args.grid if not 0 < c < float("inf")]:
        raise ParamsError(f"--grid {wrong[0]:g}: expected a number above 0")
    params = load_params(PARAMS, "evaluate", EvaluationParams)
    sections = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    tables = {name: open_table(args.split / f"{name}.parquet").read() for name in SPLITS}
    sys.stdout.write(train_baselines(tables, args.grid, params, sections) + "\n")
