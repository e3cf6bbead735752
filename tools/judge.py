"""Judge frozen encoders by public reviews that none of them has read: a linear head on their features, beside TF-IDF.

    python -m tools.judge FOLDER models/encoders/reviews-albert       the tables of its card; takes twenty minutes
    python -m tools.judge FOLDER ENCODER OTHER --on sentences         several encoders, on one kind of sets
    python -m tools.judge FOLDER ENCODER --on choice                  on what one may choose by
    python -m tools.judge FOLDER ENCODER --on imdb --max-length 512   long reviews

FOLDER has the Parquet files of the public reviews. A folder of a model2vec is judged like an encoder, and "tfidf" is
judged in any case. What is shown are accuracies of logistic regression on standardized features (mean+max); the
strength of its penalty is chosen inside of each training part.

- choice: five folds of sets to choose an encoder by; the others are judges, which no choice may look at.
- sentences: five folds of each of four sets of single sentences.
- small: 200 of these sentences to train on, the others to test on; means of ten draws.
- domains: trained on three of Amazon's kinds of products, tested on the fourth.
- imdb: trained on 2,500 film reviews, tested on the 25,000 of the test part.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, StratifiedShuffleSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sentiment.common.command import run_main
from sentiment.encoder.config import EncoderConfig
from sentiment.encoder.frozen import FrozenEncoder
from tools.encoder.corpus import is_held_out

TFIDF = "tfidf"
FEATURE_C: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)  # inverse strengths of the L2 penalty
TFIDF_C: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 100.0)
MAX_ITER = 1_000
INNER_FOLDS, FOLDS = 3, 5
N_SMALL, N_DRAWS = 200, 10
SENTENCES = ("uci_amazon", "uci_yelp", "uci_imdb", "restaurants")

Rows = NDArray[np.int64]
Split = tuple[Rows, Rows]  # rows to train on, and to test on
log = logging.getLogger("judge")


@dataclass(frozen=True)
class Task:
    """Reviews, and how they are divided.

    Attributes:
        name: of a column of the table.
        texts: of the reviews.
        labels: 1 for positive, shape (n_texts,).
        splits: whose accuracies are averaged.
    """

    name: str
    texts: list[str]
    labels: Rows
    splits: list[Split]


def folds(labels: Rows) -> list[Split]:
    """Return the five folds of a set."""
    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels))


def read_sentences(folder: Path, name: str) -> tuple[list[str], Rows]:
    """Return texts and labels of a set that has both."""
    table = pd.read_parquet(folder / f"{name}.parquet")
    return table["text"].tolist(), table["label"].to_numpy(np.int64)


def read_imdb(folder: Path) -> pd.DataFrame:
    """Return the film reviews, with the columns split, text and label."""
    table = pd.read_parquet(folder / "imdb.parquet")
    return table.assign(label=(table["rating"] > 5).astype(np.int64))


def read_products(folder: Path) -> pd.DataFrame:
    """Return the product reviews, with the columns domain, text and label; a title stands before its text."""
    table = pd.read_parquet(folder / "amazon4.parquet")
    texts = table["title"].fillna("") + ". " + table["text"]
    return table.assign(text=texts, label=(table["rating"] > 3).astype(np.int64))


def choice(folder: Path) -> Iterator[Task]:
    """Yield film sentences, and the film reviews of the train part that the encoder has not read."""
    texts, labels = read_sentences(folder, "rt_polarity")
    yield Task("rt_polarity", texts, labels, folds(labels))
    table = read_imdb(folder)
    table = table[(table["split"] == "train") & table["text"].map(is_held_out)]
    labels = table["label"].to_numpy()
    yield Task("imdb train", table["text"].tolist(), labels, folds(labels))


def sentences(folder: Path) -> Iterator[Task]:
    """Yield each set of sentences with its folds."""
    for name in SENTENCES:
        texts, labels = read_sentences(folder, name)
        yield Task(name, texts, labels, folds(labels))


def small(folder: Path) -> Iterator[Task]:
    """Yield each set of sentences with few to train on."""
    draws = StratifiedShuffleSplit(N_DRAWS, train_size=N_SMALL, random_state=0)
    for name in SENTENCES:
        texts, labels = read_sentences(folder, name)
        yield Task(name, texts, labels, list(draws.split(labels, labels)))


def domains(folder: Path) -> Iterator[Task]:
    """Yield the reviews of Amazon, each domain as the test part once."""
    table = read_products(folder)
    texts, labels = table["text"].tolist(), table["label"].to_numpy()
    for domain in sorted(table["domain"].unique()):
        is_test = (table["domain"] == domain).to_numpy()
        yield Task(domain, texts, labels, [(np.flatnonzero(~is_test), np.flatnonzero(is_test))])


def imdb(folder: Path) -> Iterator[Task]:
    """Yield the film reviews; those to train on are the ones of the train part that the encoder has not read."""
    table = read_imdb(folder)
    is_test = (table["split"] == "test").to_numpy()
    is_train = ~is_test & table["text"].map(is_held_out).to_numpy()
    split = (np.flatnonzero(is_train), np.flatnonzero(is_test))
    yield Task("imdb", table["text"].tolist(), table["label"].to_numpy(), [split])


KINDS: dict[str, Callable[[Path], Iterator[Task]]] = {
    function.__name__: function for function in (choice, sentences, small, domains, imdb)
}


def embed(source: str, texts: list[str], max_length: int) -> NDArray[Any]:
    """Return what a head is trained on: texts for "tfidf", features of shape (n_texts, dim) else."""
    if source == TFIDF:
        return np.array(texts, dtype=object)
    config = json.loads((Path(source) / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] == "model2vec":
        from model2vec import StaticModel  # of the extra dev

        return np.asarray(StaticModel.from_pretrained(source).encode(texts), np.float32)
    settings = EncoderConfig(max_length=max_length, pooling="mean+max", precision="auto")
    return FrozenEncoder.load(Path(source), settings).encode(texts)


def head_of(source: str) -> GridSearchCV:
    """Return logistic regression that chooses its penalty by folds of what it is fitted on."""
    grid = TFIDF_C if source == TFIDF else FEATURE_C
    first = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True) if source == TFIDF else StandardScaler()
    pipeline = Pipeline([("first", first), ("head", LogisticRegression(max_iter=MAX_ITER))])
    return GridSearchCV(pipeline, {"head__C": grid}, cv=INNER_FOLDS, n_jobs=-1)


def accuracy(task: Task, source: str, inputs: NDArray[Any]) -> float:
    """Return the mean accuracy over the splits of a task."""
    accuracies = []
    for train, test in task.splits:
        head = head_of(source).fit(inputs[train], task.labels[train])
        accuracies.append(float(np.mean(head.predict(inputs[test]) == task.labels[test])))
    return float(np.mean(accuracies))


def judge(folder: Path, kind: str, sources: Sequence[str], max_length: int) -> pd.DataFrame:
    """Return accuracies: a row for each source, a column for each task of a kind, and their mean."""
    rows: dict[str, dict[str, float]] = {source: {} for source in sources}
    embedded: dict[tuple[str, int], NDArray[Any]] = {}
    for task in KINDS[kind](folder):
        for source in sources:
            key = (source, hash(tuple(task.texts)))
            if key not in embedded:
                embedded[key] = embed(source, task.texts, max_length)
            rows[source][task.name] = accuracy(task, source, embedded[key])
            log.info("%s: %s: %s %.4f", kind, task.name, source, rows[source][task.name])
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.assign(mean=table.mean(axis=1))


def as_markdown(table: pd.DataFrame) -> str:
    """Return a table with the sources as its rows."""
    lines = [f"| | {' | '.join(table.columns)} |", "| --- |" + " ---: |" * len(table.columns)]
    for source, row in table.iterrows():
        lines.append(f"| {Path(str(source)).name} | {' | '.join(f'{value:.3f}' for value in row)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments (default: the command line's), and print one table for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the public reviews, as Parquet files")
    parser.add_argument("encoders", nargs="+", metavar="ENCODER", help="folders")
    parser.add_argument("--on", nargs="+", choices=KINDS, default=[kind for kind in KINDS if kind != "choice"])
    parser.add_argument("--max-length", type=int, default=128, help="tokens read of each text (default: %(default)s)")
    args = parser.parse_args(arguments)
    for kind in args.on:
        table = judge(args.folder, kind, [TFIDF, *args.encoders], args.max_length)
        sys.stdout.write(f"{kind}\n\n{as_markdown(table)}\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    run_main(main)
