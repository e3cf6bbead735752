"""Changed labels of separable features are found; no review is scored by a model that has seen its text."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from sentiment.cli.noise import as_table
from sentiment.common.errors import InputError
from sentiment.common.tables import SPLITS
from sentiment.experiments.label_noise import assign_folds, margins, out_of_fold_probabilities
from tests.project import Project


def flip_labels(labels: NDArray[np.int8], share: float) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return labels of which a random share is changed, and which ones those are."""
    flipped = np.zeros(len(labels), dtype=bool)
    flipped[np.random.default_rng(1).choice(len(labels), round(share * len(labels)), replace=False)] = True
    return np.where(flipped, 1 - labels, labels).astype(np.int8), flipped


@pytest.mark.slow
def test_half_of_the_changed_labels_of_real_reviews_are_found(real_project: Project) -> None:
    tables = [pq.read_table(real_project.root / f"data/split/{name}.parquet") for name in SPLITS]
    features = np.concatenate([np.load(real_project.root / f"data/encode/{name}.npy") for name in SPLITS])
    texts = [text for table in tables for text in table["text"].to_pylist()]
    noisy, flipped = flip_labels(np.concatenate([table["label"].to_numpy() for table in tables]), 0.02)
    probabilities = out_of_fold_probabilities(features, noisy, assign_folds(texts, noisy), lambda: None)
    order = np.argsort(margins(probabilities, noisy))
    assert flipped[order[: flipped.sum()]].mean() > 0.5


def test_changed_labels_of_separable_classes_have_the_lowest_margins() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(2_000) < 0.7).astype(np.int8)
    features = (rng.normal(size=(2_000, 16)) + 2 * labels[:, None]).astype(np.float32)
    noisy, flipped = flip_labels(labels, 0.02)
    assert flipped.sum() == 40
    assert ((noisy != labels) == flipped).all()
    done: list[int] = []
    folds = assign_folds(list(map(str, range(2_000))), noisy)
    probabilities = out_of_fold_probabilities(features, noisy, folds, lambda: done.append(1))
    assert len(done) == 5
    order = np.argsort(margins(probabilities, noisy))
    assert flipped[order[:40]].mean() > 0.95


def test_no_review_is_scored_by_a_model_that_has_seen_its_text() -> None:
    """Features without information, each text three times: a model that had seen a text would know its label."""
    rng = np.random.default_rng(0)
    texts = [f"review {index}" for index in range(200)]
    repeated = [*texts, *(text.upper() for text in texts), *(f" {text}\n" for text in texts)]
    labels = np.tile((rng.random(200) < 0.5).astype(np.int8), 3)
    features = np.tile(rng.normal(size=(200, 500)).astype(np.float32), (3, 1))
    folds = assign_folds(repeated, labels)
    assert (folds[:200] == folds[200:400]).all()
    assert (folds[:200] == folds[400:]).all()
    assert np.bincount(folds).tolist() == [120] * 5
    probabilities = out_of_fold_probabilities(features, labels, folds, lambda: None)
    assert 0.35 < ((probabilities >= 0.5) == labels).mean() < 0.65


def test_a_label_that_is_too_rare_for_the_folds_is_named() -> None:
    with pytest.raises(InputError, match="a label has only 1 different texts, expected one in each of 5 folds"):
        assign_folds(["a", "b", "B", "c"], np.array([0, 1, 1, 0], np.int8))


def test_the_table_cannot_move_the_cursor() -> None:
    text = "Soft\x1b[31m red\x1b]0;title\a\nand\r\x9bwarm\u202e"
    row = {"id": "0", "split": "test", "label": "negative", "probability": 0.9, "margin": -0.8, "text": text}
    lines = as_table([row], 200).split("\n")
    assert len(lines) == 2
    assert lines[1].isprintable()
    assert lines[1].endswith("Soft [31m red ]0;title  and  warm ")


@pytest.mark.parametrize(("label", "probability", "margin"), [(1, 0.9, 0.8), (0, 0.9, -0.8), (1, 0.5, 0.0)])
def test_the_margin_is_the_probability_of_the_label_minus_that_of_the_other(
    label: int, probability: float, margin: float
) -> None:
    assert margins(np.array([probability]), np.array([label], np.int8))[0] == pytest.approx(margin)
