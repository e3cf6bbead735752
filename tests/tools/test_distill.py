"""`python -m tools.distill` with small encoders, and what distillation is made of."""

import doctest
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from sentiment.common.command import run_main
from sentiment.data.text import hash_texts, read_seen_texts
from sentiment.finetuning.training import Dataset
from tests.command_call import call_command
from tests.project import BUNDLED
from tests.tools.encoder_checks import assert_loads_with_transformers
from tools.distill import __main__ as command
from tools.distill import examples, teaching
from tools.distill.examples import Examples, read_examples
from tools.distill.teaching import DistillConfig, TrainableEncoder, cross_fit, folds_of, student_targets

GOOD, BAD = "Lovely soft dress. I like the color.", "Poor fabric. Sent it back."
FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "trained_on.npy"]


def number_of(text: str) -> int:
    return int(text.rsplit(" ", 1)[1].rstrip("."))


RunDistill = Callable[..., tuple[int, str, Path]]


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A train table of 40 reviews and a val table of 8, with three ratings, so that there are rating targets."""
    for name, size in (("train", 40), ("val", 8)):
        texts = [f"{BAD if row % 4 == 0 else GOOD} Order {name} {row}." for row in range(size)]
        ratings = [1.0 if row % 4 == 0 else 4.0 + row % 2 for row in range(size)]
        table = {"text": texts, "label": [int(rating > 3) for rating in ratings], "rating": ratings}
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    return tmp_path


@pytest.fixture
def run_distill(split: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> RunDistill:
    """Teach the bundled encoder by two teachers of its own kind; later arguments override earlier ones."""
    monkeypatch.setattr(command, "DistillConfig", partial(DistillConfig, n_folds=2, n_excerpts=1))

    def call(name: str, *more: object) -> tuple[int, str, Path]:
        arguments = ["--split", split, "--teacher", BUNDLED, "--student", BUNDLED, "--out", split / name]
        arguments += ["--device", "cpu", *more]
        return *call_command(lambda: run_main(lambda: command.main(list(map(str, arguments)))), caplog), split / name

    return call


def test_equal_arguments_give_equal_bytes(run_distill: RunDistill, split: Path) -> None:
    status, stderr, first = run_distill("first")
    assert status == 0, stderr
    assert sorted(path.name for path in first.iterdir()) == FILES
    assert_loads_with_transformers(first)
    weights = (first / "model.safetensors").read_bytes()
    assert weights != (BUNDLED / "model.safetensors").read_bytes()
    assert sha256(weights).hexdigest() in stderr
    _, _, second = run_distill("second")
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name

    texts = pq.read_table(split / "train.parquet")["text"].to_pylist()
    assert set(read_seen_texts(first)) == {*read_seen_texts(BUNDLED), *hash_texts(texts)}
    status, stderr, _ = run_distill("out", "--teacher", first)
    assert status == 1
    assert "was trained on reviews that it would predict" in stderr


def test_a_teacher_does_not_see_the_reviews_that_it_predicts(split: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The teachers here learn nothing and predict the number of tokens, which says where each prediction went."""
    texts_of_teacher: list[list[list[str]]] = []

    class Counting(TrainableEncoder):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            texts_of_teacher.append([])

        def dataset(self, texts: Sequence[str], targets: NDArray[np.float32]) -> Dataset:
            texts_of_teacher[-1].append(list(texts))
            return super().dataset(texts, targets)

        def train(self, train: Dataset, val: Dataset, description: str) -> None:
            pass

        def predict_proba(self, data: Dataset) -> NDArray[np.float32]:
            return np.stack([data.lengths] * 2, axis=1).astype(np.float32)

    config = DistillConfig(n_folds=3)
    train, val = (read_examples(split / f"{name}.parquet", [1.0], 2, seed=0) for name in ("train", "val"))
    lengths = (
        TrainableEncoder(BUNDLED, config.teacher, config.teacher_max_length).dataset(train.texts, train.targets).lengths
    )
    monkeypatch.setattr(teaching, "TrainableEncoder", Counting)
    probabilities = cross_fit(BUNDLED, train, val, config)
    assert probabilities.shape == (len(train), 2), "the label, and whether the rating is above 1"
    assert probabilities[:, 0].tolist() == lengths.tolist()
    assert len(texts_of_teacher) == 3
    for fitted, chosen_by, predicted in texts_of_teacher:
        assert chosen_by == val.texts
        assert set(fitted) <= set(train.reviews)
        numbers = [{number_of(text) for text in texts if "Order" in text} for texts in (fitted, predicted)]
        assert not numbers[0] & numbers[1]
        assert numbers[0] | numbers[1] == set(range(40))


def test_a_text_has_the_same_probabilities_alone_and_in_a_batch(split: Path) -> None:
    config = DistillConfig(n_excerpts=0)
    params = config.student.model_copy(update={"device": "cpu"})
    train = read_examples(split / "train.parquet", [1.0], 0, seed=0)
    encoder = TrainableEncoder(BUNDLED, params, config.student_max_length)
    data = encoder.dataset(train.texts, train.targets)
    encoder.train(data, data, "student")
    together = encoder.predict_proba(data)
    alone = [encoder.predict_proba(encoder.dataset([train.texts[row]], train.targets[:1]))[0] for row in (0, 1, 39)]
    np.testing.assert_allclose(together[[0, 1, 39]], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--teacher", "no-such"], "no such file"),
        (["--student", "no-such"], "no such file"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(run_distill: RunDistill, more: list[object], message: str) -> None:
    status, stderr, out = run_distill("out", *more)
    assert status == 1
    assert message in stderr
    assert not out.exists()


def test_the_examples_in_the_docstrings_are_true() -> None:
    result = doctest.testmod(examples)
    assert result.attempted > 0
    assert result.failed == 0


def test_excerpts_have_the_review_and_the_targets_of_the_whole(tmp_path: Path) -> None:
    texts = ["Nice. Too long. Too wide.", "Soft", "Bad! Sent back."]
    table = pa.table({"text": texts, "label": [1, 1, 0], "rating": [4.0, 5.0, 1.0]})
    pq.write_table(table, tmp_path / "train.parquet")
    made = read_examples(tmp_path / "train.parquet", [1.0, 4.0], n_excerpts=2, seed=0)
    assert made.review.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert made.is_excerpt.tolist() == [False, True, True, False, False, True, True]
    assert [made.texts[index] for index in (0, 3, 4)] == table["text"].to_pylist()
    assert made.texts[5:] == ["Bad!", "Sent back."]
    assert made.targets[[0, 1, 3, 6]].tolist() == [[1, 1, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]]


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
