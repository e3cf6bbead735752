"""`python -m tools.distill` with small encoders: what it writes, and what it refuses."""

from collections.abc import Callable, Sequence
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
from tools.distill import soft_targets
from tools.distill.examples import read_examples
from tools.distill.teaching import DistillConfig, TrainableEncoder

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
def run_distill(split: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> RunDistill:
    """Teach the bundled encoder by itself; later arguments override earlier ones."""

    def call(name: str, *more: object) -> tuple[int, str, Path]:
        out = split / name
        arguments = ["distill", "--split", split, "--teacher", BUNDLED, "--student", BUNDLED, "--out", out]
        monkeypatch.setattr("sys.argv", list(map(str, [*arguments, "--device", "cpu", *more])))
        return *call_command(lambda: run_main(command.main), caplog), out

    return call


def test_the_same_soft_targets_give_the_same_bytes_read_or_made(run_distill: RunDistill, split: Path) -> None:
    kept = split / "soft.npy"
    status, stderr, made = run_distill("made", "--soft-targets", kept)
    assert status == 0, stderr
    assert sorted(path.name for path in made.iterdir()) == FILES
    assert_loads_with_transformers(made)
    probabilities = np.load(kept)
    assert probabilities.shape[1] == 1 + 2, "the label, and whether the rating is above 1 and above 4"
    assert ((probabilities > 0) & (probabilities < 1)).all()
    _, _, read = run_distill("read", "--soft-targets", kept, "--teacher", split / "none")
    for name in FILES:
        assert (made / name).read_bytes() == (read / name).read_bytes(), name
    weights = (made / "model.safetensors").read_bytes()
    assert weights != (BUNDLED / "model.safetensors").read_bytes()
    assert sha256(weights).hexdigest() in stderr


def test_the_folder_lists_the_texts_of_the_student_and_of_train(run_distill: RunDistill, split: Path) -> None:
    _, _, out = run_distill("out")
    texts = pq.read_table(split / "train.parquet")["text"].to_pylist()
    assert set(read_seen_texts(out)) == {*read_seen_texts(BUNDLED), *hash_texts(texts)}


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
    lengths = TrainableEncoder(BUNDLED, config.teacher).dataset(train.texts, train.targets).lengths
    monkeypatch.setattr(soft_targets, "TrainableEncoder", Counting)
    assert soft_targets.cross_fit(BUNDLED, train, val, config)[:, 0].tolist() == lengths.tolist()
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
    encoder = TrainableEncoder(BUNDLED, params)
    data = encoder.dataset(train.texts, train.targets)
    encoder.train(data, data, "student")
    together = encoder.predict_proba(data)
    alone = [encoder.predict_proba(encoder.dataset([train.texts[row]], train.targets[:1]))[0] for row in (0, 1, 39)]
    np.testing.assert_allclose(together[[0, 1, 39]], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--epochs", 0], "must be above 0"),
        (["--label-weight", 1.5], "--label-weight from 0 to 1"),
        (["--teacher", "no-such"], "no such file"),
        (["--student", "no-such"], "no such file"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(run_distill: RunDistill, more: list[object], message: str) -> None:
    status, stderr, out = run_distill("out", *more)
    assert status == 1
    assert message in stderr
    assert not out.exists()


def test_soft_targets_of_another_shape_are_refused(run_distill: RunDistill, split: Path) -> None:
    np.save(split / "other.npy", np.zeros((3, 3), np.float32))
    status, stderr, _ = run_distill("out", "--soft-targets", split / "other.npy")
    assert status == 1
    assert "shape (3, 3), expected" in stderr


def test_a_teacher_that_was_trained_on_the_reviews_is_refused(run_distill: RunDistill) -> None:
    _, _, taught = run_distill("taught")
    status, stderr, _ = run_distill("out", "--teacher", taught)
    assert status == 1
    assert "was trained on reviews that it would predict" in stderr
