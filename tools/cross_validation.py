"""Compare the default pipeline with TF-IDF, and with its features alone, by 5 folds of public reviews.

    python -m tools.cross_validation FOLDER       what `make results PUBLIC_DATA=FOLDER` does; takes ten minutes

It writes the table into docs/results.md.

All get the same folds. As in the stage `train` with `split.folds`, the solved heads take the next fold as val; TF-IDF
has folds of its own inside. p is McNemar's, by Holm's method over all rows, of the default against TF-IDF.
"""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sentiment.common.command import run_main
from sentiment.common.params import load_params
from sentiment.data.splitting import SplitParams, assign_folds
from sentiment.encoder.config import EncoderConfig, FeatureMetadata
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.evaluation.significance import format_p, holm, mcnemar_exact
from sentiment.head.classifier import Classifier, ClassifierConfig
from sentiment.head.features import LabeledFeatures
from sentiment.head.words import Tokens
from stages.train import Params, cross_validate, solve
from tools.judge import SENTENCES, TFIDF, head_of, read_imdb, read_products, read_sentences
from tools.results.tables import replace_table, split_page

ENCODER = Path("models/encoders/reviews-albert")
CONFIG = EncoderConfig(max_length=128, pooling="mean+max", precision="auto")
SPLIT = SplitParams(salt="reviews-v1", val=0.1, test=0.1, folds=5)
PARAMS = Path("params.yaml")  # whose section train is the default
DEFAULT, SOLVED = "default", "without words"
METHODS = (DEFAULT, SOLVED, TFIDF)
PAGE = Path("docs/results.md")
N_IMDB = 2_500  # of the 25,000 test reviews, every tenth

log = logging.getLogger("cross_validation")


def read_sets(folder: Path) -> Iterator[tuple[str, list[str], NDArray[np.float64]]]:
    """Yield name, texts and labels of each public set."""
    for name in SENTENCES:
        texts, labels = read_sentences(folder, name)
        yield name, texts, labels.astype(np.float64)
    for domain, rows in read_products(folder).groupby("domain"):
        yield f"amazon {domain}", rows["text"].tolist(), rows["label"].to_numpy(np.float64)
    table = read_imdb(folder)
    table = table[table["split"] == "test"]
    table = table.iloc[:: len(table) // N_IMDB]
    yield "imdb", table["text"].tolist(), table["label"].to_numpy(np.float64)
    texts, labels = read_sentences(folder, "rt_polarity")
    yield "rt_polarity", texts, labels.astype(np.float64)


def correct_by_method(
    features: NDArray[np.float32],
    tokens: Tokens,
    texts: list[str],
    labels: NDArray[np.float64],
    folds: NDArray[np.int8],
) -> pd.DataFrame:
    """Return whether each review is labeled rightly by a head that did not see it; one column a method.

    Args:
        features: of the texts, shape (n_texts, dim).
        tokens: of the texts.
        labels: 0 or 1, shape (n_texts,).
        folds: of the texts, from 0, shape (n_texts,).
    """
    with_words, reviews = LabeledFeatures(features, labels, tokens), LabeledFeatures(features, labels)
    metadata = FeatureMetadata(config=CONFIG, fingerprint="", dim=features.shape[1], text_columns=("text",))
    config = ClassifierConfig(features=metadata, threshold=0.5)
    params = load_params(PARAMS, "train", Params)

    def solved_head(train_part: LabeledFeatures, val_part: LabeledFeatures) -> Classifier:
        return solve(train_part, val_part, params, config, lambda: None, lambda _: None, refits=True)

    for_method = {DEFAULT: with_words, SOLVED: reviews}
    correct = {name: np.zeros(len(labels), np.bool_) for name in METHODS}
    for name, seen in for_method.items():
        for fold, classifier in enumerate(cross_validate(seen, folds, solved_head)):
            tested = seen[folds == fold]
            is_positive = classifier.predict_proba(tested.features, tested.tokens) >= 0.5
            correct[name][folds == fold] = is_positive == tested.labels
    documents = np.array(texts, dtype=object)
    for fold in range(SPLIT.folds):
        rows = folds == fold
        bag_of_words = head_of(TFIDF).fit(documents[~rows], labels[~rows])
        correct[TFIDF][rows] = bag_of_words.predict(documents[rows]) == labels[rows]
    return pd.DataFrame(correct)


def p_value(correct: pd.DataFrame, one: str, other: str) -> float:
    """Return that of McNemar's exact test of two methods."""
    only_one, only_other = correct[one] & ~correct[other], correct[other] & ~correct[one]
    return mcnemar_exact(int(only_one.sum()), int(only_other.sum()))


def main() -> None:
    """Compare the methods on each set, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the public reviews, as Parquet files")
    args = parser.parse_args()
    logging.getLogger("stages.train").setLevel(logging.WARNING)
    split_page(PAGE)  # fails now and not after ten minutes
    encoder = FrozenEncoder.load(ENCODER, CONFIG)
    rows: list[list[Any]] = []
    p_values = []
    for name, texts, labels in read_sets(args.folder):
        tokens = Tokens.read(ENCODER, [texts])
        correct = correct_by_method(encoder.encode(texts), tokens, texts, labels, assign_folds(texts, SPLIT))
        shares = correct.mean()
        p_values.append(p_value(correct, DEFAULT, TFIDF))
        rows.append([name, len(texts), *shares[list(METHODS)]])
        log.info("%s: %s", name, ", ".join(f"{method} {share:.4f}" for method, share in shares.items()))
    lines = [
        "| reviews | number | default, with words if they help on val | features alone | TF-IDF | p (Holm) |",
        "| --- |" + " ---: |" * (len(METHODS) + 2),
    ]
    for (name, n, *accuracies), p in zip(rows, holm(p_values), strict=True):
        cells = " | ".join(f"{value:.4f}" for value in accuracies)
        lines.append(f"| {name} | {n:,} | {cells} | {format_p(p)} |")
    means = " | ".join(f"{value:.4f}" for value in np.mean([row[2:] for row in rows], axis=0))
    lines.append(f"| mean | | {means} | |")
    replace_table(PAGE, "\n".join(lines))


if __name__ == "__main__":
    run_main(main)
