"""Excerpts, folds and targets of distillation, on a handful of rows."""

import doctest
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tools.distill.examples
from sentiment.data.text import hash_texts
from tools.distill.examples import Examples, read_examples
from tools.distill.teaching import DistillConfig, folds_of, student_targets


def test_the_examples_in_the_docstrings_are_true() -> None:
    result = doctest.testmod(tools.distill.examples)
    assert result.attempted > 0
    assert result.failed == 0


def test_excerpts_have_the_review_and_the_targets_of_the_whole(tmp_path: Path) -> None:
    texts = ["Nice. Too long. Too wide.", "Soft", "Bad! Sent back."]
    table = pa.table({"text": texts, "label": [1, 1, 0], "rating": [4.0, 5.0, 1.0]})
    pq.write_table(table, tmp_path / "train.parquet")
    examples = read_examples(tmp_path / "train.parquet", [1.0, 4.0], n_excerpts=2, seed=0)
    assert examples.review.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert examples.is_excerpt.tolist() == [False, True, True, False, False, True, True]
    assert [examples.texts[index] for index in (0, 3, 4)] == table["text"].to_pylist()
    assert examples.texts[5:] == ["Bad!", "Sent back."]
    assert examples.targets[[0, 1, 3, 6]].tolist() == [[1, 1, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]]


def test_sizes_of_folds_differ_by_at_most_one() -> None:
    folds = folds_of(hash_texts(f"review {number}" for number in range(23)), DistillConfig(n_folds=5))
    assert sorted(np.bincount(folds).tolist()) == [4, 4, 5, 5, 5]


def test_equal_texts_share_a_fold() -> None:
    folds = folds_of(hash_texts(["Nice", "Bad", "nice ", "Soft", "NICE"]), DistillConfig(n_folds=5))
    assert len({folds[0], folds[2], folds[4]}) == 1


def test_labels_count_for_whole_reviews_only() -> None:
    train = Examples(["whole. part.", "part."], np.array([0, 0]), np.array([False, True]), np.ones((2, 1), np.float32))
    targets = student_targets(np.array([[0.5], [0.5]], np.float32), train, label_weight=0.2)
    np.testing.assert_allclose(targets, [[0.6], [0.5]], rtol=1e-6)
