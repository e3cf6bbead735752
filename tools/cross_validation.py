"""Compare the solved head with scikit-learn's LogisticRegressionCV and with Adam, by 5 folds of public reviews.

    python -m tools.cross_validation FOLDER       what `make results PUBLIC_DATA=FOLDER` does; takes half an hour

It writes the table into docs/results.md.

All three get the features of the bundled encoder and the same folds. As in the stage `train` with `split.folds`, the
solved head and Adam take the next fold as val; LogisticRegressionCV has five folds of its own inside. p is McNemar's,
of the solved head against the better of the two, by Holm's method over all rows.
"""

import argparse
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sentiment.common.command import run_main
from sentiment.data.splitting import SplitParams, assign_folds
from sentiment.encoder.config import EncoderConfig, FeatureMetadata
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.evaluation.significance import holm, mcnemar_exact
from sentiment.head.classifier import Classifier, ClassifierConfig
from sentiment.head.training import LabeledFeatures
from stages.train import Params, cross_validate, solve, train
from tools.results.tables import replace_table, split_page

ENCODER = Path("models/encoders/bundled")
CONFIG = EncoderConfig(max_length=128, pooling="mean+max", precision="auto")
SPLIT = SplitParams(salt="reviews-v1", val=0.1, test=0.1, folds=5)
SCRIPT: dict[str, Any] = {
    "seed": 0, "class_weight": "none", "head_layers": 1, "hidden_size": 1, "dropout": 0.0, "learning_rate": 0.0001,
    "weight_decay": 0.0, "epochs": 30, "batch_size": 16, "threshold": 0.5,
}  # fmt: skip
PAGE = Path("docs/results.md")
N_IMDB = 2_500  # of the 25,000 test reviews, every tenth

log = logging.getLogger("cross_validation")


def read_sets(folder: Path) -> Iterator[tuple[str, list[str], NDArray[np.float64]]]:
    """Yield name, texts and labels of each public set."""
    for name in ("uci_amazon", "restaurants", "uci_imdb"):
        table = pd.read_parquet(folder / f"{name}.parquet")
        yield name, table["text"].tolist(), np.asarray(table["label"], np.float64)
    table = pd.read_parquet(folder / "amazon4.parquet")
    for domain, rows in table.groupby("domain"):
        texts = rows["title"].fillna("") + ". " + rows["text"]
        yield f"amazon {domain}", texts.tolist(), np.asarray(rows["rating"] > 3, np.float64)
    table = pd.read_parquet(folder / "imdb.parquet")
    table = table[table["split"] == "test"]
    table = table.iloc[:: len(table) // N_IMDB]
    yield "imdb", table["text"].tolist(), np.asarray(table["rating"] > 5, np.float64)
    table = pd.read_parquet(folder / "rt_polarity.parquet")
    yield "rt_polarity", table["text"].tolist(), np.asarray(table["label"], np.float64)


def correct_by_method(
    features: NDArray[np.float32], labels: NDArray[np.float64], folds: NDArray[np.int8]
) -> pd.DataFrame:
    """Return whether each review is labeled rightly by a head that did not see it; one column a method."""
    reviews = LabeledFeatures(features, labels)
    metadata = FeatureMetadata(config=CONFIG, fingerprint="", dim=features.shape[1], text_columns=("text",))
    config = ClassifierConfig(features=metadata, threshold=0.5)
    solved, by_adam = Params(solver="lbfgs", l2="auto", **SCRIPT), Params(solver="adam", l2=0.0, **SCRIPT)
    fits: dict[str, Callable[[LabeledFeatures, LabeledFeatures], Classifier]] = {
        "solved": lambda a, b: solve(a, b, solved, config, lambda: None, lambda _: None, refits=True),
        "Adam": lambda a, b: train(a, b, by_adam, config, lambda _: None),
    }
    correct = {name: np.zeros(len(labels), np.bool_) for name in (*fits, "LogisticRegressionCV")}
    for name, fit in fits.items():
        for fold, classifier in enumerate(cross_validate(reviews, folds, fit)):
            rows = folds == fold
            correct[name][rows] = (classifier.predict_proba(features[rows]) >= 0.5) == labels[rows]
    for fold in range(SPLIT.folds):
        rows = folds == fold
        model = make_pipeline(
            StandardScaler(),
            LogisticRegressionCV(
                Cs=10, cv=5, l1_ratios=(0,), scoring="accuracy", max_iter=1_000, use_legacy_attributes=False
            ),
        )
        model.fit(features[~rows], labels[~rows])
        correct["LogisticRegressionCV"][rows] = model.predict(features[rows]) == labels[rows]
    return pd.DataFrame(correct)


def main() -> None:
    """Compare the methods on each set, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the public reviews, as Parquet files")
    args = parser.parse_args()
    logging.getLogger("stages.train").setLevel(logging.WARNING)
    split_page(PAGE)  # fails now and not after half an hour
    encoder = FrozenEncoder.load(ENCODER, CONFIG)
    rows, p_values = [], []
    for name, texts, labels in read_sets(args.folder):
        correct = correct_by_method(encoder.encode(texts), labels, assign_folds(texts, SPLIT))
        better = correct[["Adam", "LogisticRegressionCV"]].mean().idxmax()
        only_solved = int((correct["solved"] & ~correct[better]).sum())
        only_better = int((correct[better] & ~correct["solved"]).sum())
        p_values.append(mcnemar_exact(only_solved, only_better))
        rows.append([name, len(texts), *correct.mean()])
        log.info("%s: %s", name, ", ".join(f"{method} {share:.4f}" for method, share in correct.mean().items()))
    means = np.mean([row[2:] for row in rows], axis=0)
    lines = [
        "| reviews | number | solved | Adam | LogisticRegressionCV | p (Holm) |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (name, n, *shares), p in zip(rows, holm(p_values), strict=True):
        lines.append(f"| {name} | {n:,} | {' | '.join(f'{share:.4f}' for share in shares)} | {p:.3f} |")
    lines.append(f"| mean | | {' | '.join(f'{share:.4f}' for share in means)} | |")
    replace_table(PAGE, "\n".join(lines))


if __name__ == "__main__":
    run_main(main)
