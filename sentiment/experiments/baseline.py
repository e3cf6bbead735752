"""Train baselines on the split of the workspace, and write their results as the pipeline writes its own.

TF-IDF of words and pairs of words with logistic regression, the same beside the encoder's features, vectors of words or
tokens without an encoder, and the majority class. Each has a folder with the files of `revisions.BASELINE_FILES`, so
that `compare` and `report` read it like a revision.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray
from pydantic import ConfigDict
from scipy.sparse import csr_matrix, hstack
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from sentiment.common.errors import InputError, one_line
from sentiment.common.files import write_csv, write_json, write_text
from sentiment.common.tables import FOLD, SCORED, VAL
from sentiment.evaluation.bootstrap import WeightedMetrics
from sentiment.evaluation.metrics import (
    SLICE_COLUMNS,
    Predictions,
    ScoringParams,
    point_metrics,
    score,
    write_predictions,
)
from sentiment.experiments.revisions import (
    ALL_METRICS,
    BASELINE_FILES,
    MAJORITY,
    MODEL2VEC,
    PARAMS,
    PREDICTIONS,
    SLICES,
    SPLIT_METRICS,
    STATIC,
    TFIDF,
    TFIDF_FEATURES,
)
from sentiment.head.classifier import predict_labels

THRESHOLD = 0.5  # a probability of at least this is positive
VECTORIZER: dict[str, Any] = {"ngram_range": (1, 2), "min_df": 2, "sublinear_tf": True}
FEATURE_SCALE = 0.01  # of standardized features beside TF-IDF; of 0.01, 0.03 and 0.1 the lowest log loss on real val
STATIC_DIM, STATIC_SCALE = 256, 0.03  # of word vectors, and of the standardized means of those of a text
MAX_ITER = 1000

Vectors = dict[str, csr_matrix]  # by split, shape (n_samples, n_ngrams)


@dataclass(frozen=True)
class Scored:
    """A trained baseline.

    Attributes:
        probabilities: of "positive" for each review of val and of test, by split, shape (n_samples,).
        settings: what the report shows as the baseline's params.
        grid: C and metrics on val of every model that was tried.
    """

    probabilities: Mapping[str, NDArray[np.float32]]
    settings: Mapping[str, Any]
    grid: Sequence[Mapping[str, float]]


class EvaluationParams(ScoringParams):
    """What a baseline takes from section `evaluate` of params.yaml; the stage checks the other keys."""

    model_config = ConfigDict(extra="ignore")


def train_baselines(
    tables: Mapping[str, pa.Table],
    features: Mapping[str, NDArray[np.float32]] | None,
    token_vectors: Path | None,
    c_grid: Sequence[float],
) -> dict[str, Scored]:
    """Train the baselines with each C; return them by name.

    Args:
        tables: train, val and test, with columns text and label.
        features: of the encoder by split, shape (n_samples, dim); None leaves out TFIDF_FEATURES.
        token_vectors: folder for `model2vec_vectors`; None leaves out MODEL2VEC.

    Raises:
        InputError: there is no model2vec or no such folder, no word is in two train reviews, only one word is, or the
            reviews are cross-validated.
    """
    if FOLD in tables["test"].column_names:
        raise InputError(
            "a baseline needs reviews that are split once, and these are cross-validated; set split.folds to 0"
        )
    vectors = {TFIDF: tfidf_vectors(tables)}
    vectors[STATIC] = static_vectors(vectors[TFIDF])
    if features is not None:
        vectors[TFIDF_FEATURES] = side_by_side(vectors[TFIDF], features)
    if token_vectors is not None:
        vectors[MODEL2VEC] = model2vec_vectors(tables, token_vectors)
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in VECTORIZER.items()}
    scored = {}
    for name, by_split in vectors.items():
        models, grid = zip(*train_grid(by_split, tables, c_grid), strict=True)
        kept = min(range(len(grid)), key=lambda index: grid[index]["log_loss"])  # of equals the first, as in `train`
        scored[name] = Scored(
            {split: predict_proba(models[kept], by_split[split]) for split in SCORED},
            {"C": grid[kept]["C"], **settings, "dim": by_split["train"].shape[1]},
            grid,
        )
    train_share = float(np.mean(tables["train"]["label"].to_numpy()))
    constant = {split: np.full(len(tables[split]), train_share, dtype=np.float32) for split in SCORED}
    scored[MAJORITY] = Scored(constant, {"probability": train_share}, [])
    return scored


def predict_proba(model: LogisticRegression, vectors: csr_matrix) -> NDArray[np.float32]:
    """Return the probability of label 1, shape (n_samples,)."""
    return np.asarray(model.predict_proba(vectors)[:, 1], dtype=np.float32)


def tfidf_vectors(tables: Mapping[str, pa.Table]) -> Vectors:
    """Return the TF-IDF vectors of each split; words and weights come from the train split.

    Raises:
        InputError: no word is in two train reviews.
    """
    vectorizer = TfidfVectorizer(**VECTORIZER)
    try:
        vectorizer.fit(tables["train"]["text"].to_pylist())
    except ValueError as error:
        raise InputError(f"TF-IDF of {len(tables['train'])} train reviews: {one_line(error)}") from None
    return {name: csr_matrix(vectorizer.transform(table["text"].to_pylist())) for name, table in tables.items()}


def static_vectors(tfidf: Vectors) -> Vectors:
    """Return mean word vectors by split: each text is the sum of the vectors of its words, by their TF-IDF weights.

    The vectors are those of latent semantic analysis of the train split (Deerwester et al., Indexing by Latent Semantic
    Analysis, 1990): what a text encoder must beat to be worth its cost.

    Raises:
        InputError: there is only one word.
    """
    if tfidf["train"].shape[1] < 2:
        raise InputError("TF-IDF of the train reviews has one word; a baseline needs more")
    svd = TruncatedSVD(min(STATIC_DIM, *(size - 1 for size in tfidf["train"].shape)), random_state=0)
    svd.fit(tfidf["train"])
    by_split = {name: svd.transform(one) for name, one in tfidf.items()}
    return standardized(by_split, STATIC_SCALE)


def model2vec_vectors(tables: Mapping[str, pa.Table], folder: Path) -> Vectors:
    """Return means of the vectors of each text's tokens, by split: a token has one vector, whatever stands beside it.

    Args:
        folder: a model of model2vec, such as potion-base-8M; or an encoder, of which model2vec makes one: each token's
            features alone, reduced to `STATIC_DIM` by principal components and weighted by the token's rank.

    Raises:
        InputError: model2vec is not installed, or the folder holds neither.
    """
    try:
        from model2vec import StaticModel  # not a dependency
        from model2vec.distill import distill
    except ImportError as error:
        raise InputError(f"--model2vec: {error.name} is missing; run pip install model2vec skeletoken") from None
    try:
        config = json.loads((folder / "config.json").read_bytes())
        if config.get("model_type") == "model2vec":
            model = StaticModel.from_pretrained(folder)
        else:
            model = distill(model_name=str(folder), pca_dims=STATIC_DIM, device="cpu")
    except (OSError, ValueError) as error:
        raise InputError(f"--model2vec {folder}: no model of model2vec and no encoder: {one_line(error)}") from None
    means = {name: model.encode(table["text"].to_pylist()).astype(np.float32) for name, table in tables.items()}
    return standardized(means, STATIC_SCALE)


def standardized(features: Mapping[str, NDArray[np.floating]], scale: float) -> Vectors:
    """Return features of mean 0 and std `scale` on the train split, by split."""
    mean, std = features["train"].mean(axis=0), features["train"].std(axis=0)
    std[std == 0] = 1
    return {name: csr_matrix((one - mean) / std * scale) for name, one in features.items()}


def side_by_side(vectors: Vectors, features: Mapping[str, NDArray[np.float32]]) -> Vectors:
    """Return TF-IDF vectors followed by standardized features times `FEATURE_SCALE`, by split."""
    scaled = standardized(features, FEATURE_SCALE)
    return {name: csr_matrix(hstack([one, scaled[name]])) for name, one in vectors.items()}


def train_grid(
    vectors: Vectors, tables: Mapping[str, pa.Table], c_grid: Sequence[float]
) -> Iterator[tuple[LogisticRegression, dict[str, float]]]:
    """Yield a model of each C, the inverse strength of the L2 penalty; C, and accuracy, roc_auc and log_loss on val.

    The solver is liblinear: one thread and no random numbers, so equal inputs give equal models on one machine. Another
    processor rounds differently, and because the solver stops early, probabilities then differ by up to 3e-6.
    """
    labels = {name: table["label"].to_numpy() for name, table in tables.items()}
    for c in c_grid:
        model = LogisticRegression(C=c, solver="liblinear", max_iter=MAX_ITER).fit(vectors["train"], labels["train"])
        probabilities = predict_proba(model, vectors["val"])
        metrics = WeightedMetrics(labels["val"], predict_labels(probabilities, THRESHOLD), probabilities, bins=10)
        values = point_metrics(metrics, len(probabilities))
        yield model, {"C": c, **{name: values[name] for name in ("accuracy", "roc_auc", "log_loss")}}


def write_baseline(
    folder: Path,
    tables: Mapping[str, pa.Table],
    scored: Scored,
    params: EvaluationParams,
    recorded_params: Mapping[str, Any],
) -> dict[str, float]:
    """Score a baseline on val and test and write the files of its folder; return the metrics of val.

    Args:
        tables: train, val and test, with columns id, label, text and the slices, one row per review.
        recorded_params: sections that the report shows as the baseline's params.
    """
    files = {path: folder / name for path, name in BASELINE_FILES.items()}
    predictions = {
        split: Predictions(scored.probabilities[split], predict_labels(scored.probabilities[split], THRESHOLD))
        for split in SCORED
    }
    scores = {split: score(tables[split], predictions[split], params) for split in SCORED}
    for split, one in scores.items():
        write_csv(files[SLICES[split]], one.slices, columns=SLICE_COLUMNS)
        write_predictions(files[PREDICTIONS[split]], tables[split], predictions[split])
    write_json(files[ALL_METRICS], {split: {**one.metrics, "slices": one.slices} for split, one in scores.items()})
    write_json(files[SPLIT_METRICS], {name: {"rows": len(table)} for name, table in tables.items()})
    write_text(files[PARAMS], yaml.safe_dump(dict(recorded_params), sort_keys=False))
    return scores[VAL].metrics
