"""Train what a classifier should beat, on the workspace's split: TF-IDF, word vectors, the majority class.

    sentiment baseline                    writes data/baseline/tfidf, static (word vectors) and majority
    sentiment compare tfidf workspace     is the pipeline's classifier better than TF-IDF?
    sentiment compare tfidf --split test  the same on test: once, for the chosen classifier
    sentiment report tfidf workspace      the comparison on val as an HTML page
    sentiment baseline --grid 1 10        other values of C, the inverse strength of the L2 penalty
    sentiment baseline --features data/encode     also data/baseline/tfidf-features: both side by side
    sentiment baseline --model2vec FOLDER         also data/baseline/model2vec: vectors of tokens, of a model or encoder

The value of C with the lowest log loss on val is kept; the table shows the others. What is printed is of val. Test
reviews are only scored. Run it again after a change of the split.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.common.errors import ParamsError
from sentiment.experiments.revisions import PARAMS, SPLIT

if TYPE_CHECKING:
    from sentiment.experiments.baseline import Scored

C_GRID = (1.0, 3.0, 10.0, 30.0, 100.0)  # inverse strengths of the L2 penalty
RECORDED = ("prepare", "split", "evaluate")  # sections of params.yaml that a baseline depends on


def as_text(name: str, description: str, scored: "Scored", metrics: Mapping[str, Any]) -> str:
    """Return the grid of a baseline on val as a table, and one line with its val metrics."""
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
    lines.append(f"{name} ({description}): {metrics['rows']:,} val reviews, accuracy {accuracy}, ROC AUC {auc}")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment baseline`."""
    shown = " ".join(f"{c:g}" for c in C_GRID)
    parser.add_argument("--grid", type=float, nargs="+", metavar="C", default=C_GRID, help=f"default: {shown}")
    parser.add_argument("--split", type=Path, default=SPLIT, help="tables (default: %(default)s)")
    parser.add_argument("--features", type=Path, help="features, for the baseline with TF-IDF and features")
    parser.add_argument("--model2vec", type=Path, metavar="FOLDER", help="a model2vec, or an encoder to make one of")


def main(args: argparse.Namespace) -> None:
    """Read the split and params.yaml, train, write the folders, and print the grids and the val metrics."""
    if wrong := [c for c in args.grid if not 0 < c < float("inf")]:
        raise ParamsError(f"--grid {wrong[0]:g}: expected a number above 0")

    # these take a second, which --help and a wrong argument do not need
    from sentiment.common.params import load_params, read_yaml
    from sentiment.common.tables import SPLITS, open_table
    from sentiment.encoder.features import read_features
    from sentiment.experiments.baseline import EvaluationParams, train_baselines, write_baseline
    from sentiment.experiments.revisions import BASELINES, BASELINES_FOLDER

    params = load_params(Path(PARAMS), "evaluate", EvaluationParams)
    sections = read_yaml(Path(PARAMS).read_bytes(), PARAMS)
    recorded = {name: sections[name] for name in RECORDED if name in sections}
    tables = {name: open_table(args.split / f"{name}.parquet").read() for name in SPLITS}
    features = None
    if args.features:
        features = {name: read_features(args.features / f"{name}.npy", len(table)) for name, table in tables.items()}
    trained = train_baselines(tables, features, args.model2vec, args.grid)
    for name, scored in trained.items():
        params_of_baseline = {**recorded, name: scored.settings}
        metrics = write_baseline(BASELINES_FOLDER / name, tables, scored, params, params_of_baseline)
        sys.stdout.write(as_text(name, BASELINES[name], scored, metrics) + "\n")
