"""Training on features: reproducible, the best epoch kept, bad features refused."""

import csv
import json
import threading
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from numpy.typing import NDArray

from sentiment.common.errors import ClassifierError
from sentiment.common.tables import table_writer
from sentiment.data.schema import table_schema
from sentiment.encoder.config import FeatureMetadata
from sentiment.encoder.features import feature_writer, read_metadata
from sentiment.head.classifier import Classifier, ClassifierConfig
from sentiment.head.features import STEPS, LabeledFeatures, standardize
from sentiment.head.mlp import forward, round_weights
from sentiment.head.solver import PENALTIES
from sentiment.head.words import Tokens
from sentiment.numerics.arrays import sigmoid
from stages import train
from tests.project import BUNDLED

SCHEMA = table_schema([], ["body"])
SETTINGS = {
    "solver": "adam", "class_weight": "none", "seed": 0, "head_layers": 1, "hidden_size": 8, "dropout": 0.0,
    "learning_rate": 0.01, "weight_decay": 0.0, "l2": 0.0, "epochs": 5, "batch_size": 16, "threshold": 0.4,
}  # fmt: skip
INFO = {
    "config": {"max_length": 20, "pooling": "mean", "precision": "auto"},
    "fingerprint": "f", "dim": 4, "text_columns": ["body"], "decode_html": False, "int8_min_cosine": None,
}  # fmt: skip


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder with split/ and features/ of a problem that a line can solve but for noise."""
    rng = np.random.default_rng(0)
    for part, rows in (("train", 400), ("val", 100), ("test", 60)):
        features = rng.standard_normal((rows, 4)).astype(np.float32)
        labels = (features[:, 0] + rng.normal(0, 0.5, rows) > 0).astype(int)
        write_table(tmp_path, part, labels)
        write_features(tmp_path, part, features)
    (tmp_path / "features" / "config.json").write_text(json.dumps(INFO))
    return tmp_path


def write_table(folder: Path, part: str, labels: np.ndarray, folds: np.ndarray | None = None) -> None:
    table = [
        {"id": f"{n:016x}", "text": "t", "label": int(label), "rating": 1 + 4 * int(label)}
        for n, label in enumerate(labels)
    ]
    batch = pa.RecordBatch.from_pylist(table, SCHEMA)
    if folds is not None:
        batch = batch.append_column("fold", pa.array(folds, pa.int8()))
    with table_writer(folder / "split" / f"{part}.parquet", batch.schema) as writer:
        writer.write(batch)


def write_features(folder: Path, part: str, features: np.ndarray) -> None:
    with feature_writer(folder / "features" / f"{part}.npy", *features.shape) as writer:
        writer.write(features)


@pytest.fixture
def trained(inputs: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.chdir(inputs)

    def call(output: str = "classifier", **settings: object) -> object:
        params = {"train": {**SETTINGS, **settings}}
        Path("params.yaml").write_text(yaml.safe_dump(params))
        arguments = ["--split", "split", "--features", "features", "--encoder", BUNDLED]
        return command(train.main, *arguments, "--output", output, "--log", f"{output}-log")

    return call


def test_losses_by_epoch_and_the_best_one_kept(trained: Callable[..., Any]) -> None:
    done = trained(epochs=40, learning_rate=0.3, batch_size=4)
    assert done.status == 0
    with Path("classifier-log/loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["split"]) for row in rows[-2:]] == [("39", "train"), ("39", "val")]
    losses = [float(row["loss"]) for row in rows if row["split"] == "val"]
    assert len(losses) == 40
    best = json.loads(Path("classifier-log/metrics.json").read_text())["best"]
    assert best == {"epoch": int(np.argmin(losses)), "val_loss": min(losses)}
    assert f"kept epoch {best['epoch']} of 0 to 39" in done.stderr  # as in the files, and not one more
    assert best["epoch"] < 39, "else the last epoch might as well have been kept"
    features = np.load("features/val.npy")
    probabilities = probabilities_in_training(features)
    labels = train.read_split("val", Path("split"), Path("features")).labels
    kept = -np.mean(np.log(np.where(labels == 1, probabilities, 1 - probabilities)))
    assert kept == pytest.approx(min(losses), abs=1e-5)


def probabilities_in_training(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the saved head says of features on the grid of training; where it predicts, its grid is finer."""
    saved = Classifier.load(Path("classifier"))
    x = standardize(features, saved.mean, saved.std, STEPS).astype(np.float64)
    probabilities = sigmoid(forward(round_weights(saved.layers), x))
    np.testing.assert_allclose(saved.predict_proba(features), probabilities, atol=1e-3)
    return probabilities


SOLVED = {"solver": "lbfgs", "l2": "auto"}


def test_losses_by_penalty_and_the_best_one_kept(trained: Callable[..., Any]) -> None:
    done = trained(**SOLVED)
    assert done.status == 0
    with Path("classifier-log/loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["loss"]) for row in rows if row["split"] == "val"]
    assert len(losses) == len(PENALTIES)
    metrics = json.loads(Path("classifier-log/metrics.json").read_text())
    best = metrics["best"]
    assert metrics["val"]["loss"] == min(losses)
    assert best == {"l2": PENALTIES[int(np.argmin(losses))], "val_loss": min(losses)}
    assert f"kept L2 penalty {best['l2']:g} of 16 from 10 to 0.0001: val loss {best['val_loss']:.4f}" in done.stderr
    labels = train.read_split("val", Path("split"), Path("features")).labels
    probabilities = probabilities_in_training(np.load("features/val.npy"))
    kept = -np.mean(np.log(np.where(labels == 1, probabilities, 1 - probabilities)))
    assert kept == pytest.approx(min(losses), abs=1e-5)


def test_a_penalty_of_ones_own_is_solved_alone_and_no_seed_matters(trained: Callable[..., Any]) -> None:
    trained("one", solver="lbfgs", l2=0.3)
    trained("two", solver="lbfgs", l2=0.3, seed=1, epochs=7, learning_rate=0.2)
    assert json.loads(Path("one-log/metrics.json").read_text())["best"]["l2"] == 0.3
    assert Path("one/head.safetensors").read_bytes() == Path("two/head.safetensors").read_bytes()


@pytest.mark.parametrize("settings", [SOLVED, {"learning_rate": 0.1}], ids=["lbfgs", "adam"])
def test_balanced_classes_find_more_of_the_rare_one(trained: Callable[..., Any], settings: dict[str, object]) -> None:
    labels = train.read_split("train", Path("split"), Path("features")).labels
    features = np.load("features/train.npy")
    rare = np.flatnonzero(labels == 0)[:40]
    rows = np.sort(np.concatenate([np.flatnonzero(labels == 1), rare]))
    write_table(Path(), "train", labels[rows])
    write_features(Path(), "train", features[rows])
    found = {}
    for class_weight in ("none", "balanced"):
        trained(class_weight, class_weight=class_weight, **settings)
        probabilities = Classifier.load(Path(class_weight)).predict_proba(features[rare])
        found[class_weight] = np.mean(probabilities < 0.5)
    assert found["balanced"] > found["none"] + 0.1


def test_a_class_with_few_reviews_is_named(trained: Callable[..., Any]) -> None:
    labels = np.ones(100)
    labels[:3] = 0
    write_table(Path(), "val", labels)
    done = trained(**SOLVED)
    assert done.status == 0
    assert "train: warning: val has 3 negative reviews, expected at least 20" in done.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"l2": "auto"}, "train: expected l2 as a number, such as 0, where solver is adam"),
        ({"solver": "lbfgs", "head_layers": 2}, "train: expected solver adam and l2 as a number where head_layers"),
        ({"l2": 0.0, "words": True}, "train: expected solver lbfgs where words is true, or words false"),
        ({"solver": "sgd"}, "train.solver is 'sgd', expected 'lbfgs' or 'adam'"),
        ({"l2": "much"}, "train.l2 is 'much', expected 'auto' or a number from 0 to 1000000"),
    ],
)
def test_params_that_do_not_fit_each_other(
    trained: Callable[..., Any], settings: dict[str, object], message: str
) -> None:
    done = trained(**settings)
    assert done.status == 1
    assert message in done.stderr


@pytest.mark.parametrize("settings", [SOLVED, {}], ids=["lbfgs", "adam"])
def test_the_classifier_of_a_fold_sees_the_other_folds_only(
    trained: Callable[..., Any], settings: dict[str, object]
) -> None:
    labels = train.read_split("train", Path("split"), Path("features")).labels
    folds = np.arange(400) % 4
    write_table(Path(), "test", labels, folds)
    write_features(Path(), "test", np.load("features/train.npy"))
    assert trained("one", **settings).status == 0
    assert sorted(path.name for path in Path("one/folds").iterdir()) == ["0", "1", "2", "3"]
    features = np.load("features/train.npy")
    features[folds == 2] *= -1  # what fold 2 holds, its classifier does not see
    write_features(Path(), "test", features)
    trained("two", **settings)
    same = [
        Path(f"one/folds/{fold}/head.safetensors").read_bytes()
        == Path(f"two/folds/{fold}/head.safetensors").read_bytes()
        for fold in range(4)
    ]
    assert same == [False, False, True, False]
    assert Path("one/head.safetensors").read_bytes() == Path("two/head.safetensors").read_bytes()


def test_the_classifier_says_how_to_encode_a_text(trained: Callable[..., Any]) -> None:
    trained()
    config = Classifier.load(Path("classifier")).config
    assert config.features.model_dump(mode="json") == {**INFO, "coverage": None}
    assert config.threshold == 0.4
    assert config.labels == ("negative", "positive")


@pytest.mark.parametrize("settings", [{}, {"head_layers": 3, "dropout": 0.5}])
def test_two_runs_give_the_same_bytes(trained: Callable[..., Any], settings: dict[str, object]) -> None:
    trained("one", **settings)
    trained("two", **settings)
    trained("three", seed=1, **settings)
    files = [path.relative_to("one") for path in Path("one").rglob("*") if path.is_file()]
    assert Path("encoder/model.safetensors") in files
    assert all((Path("one") / name).read_bytes() == (Path("two") / name).read_bytes() for name in files)
    assert Path("one/head.safetensors").read_bytes() != Path("three/head.safetensors").read_bytes()
    assert Path("one-log/metrics.json").read_bytes() == Path("two-log/metrics.json").read_bytes()


def test_features_of_another_number_of_rows(trained: Callable[..., Any]) -> None:
    write_features(Path.cwd(), "val", np.zeros((99, 4), np.float32))
    outcome = trained()
    assert outcome.status == 1
    assert "val.npy: features of 99 reviews, expected 100 as in the split" in outcome.stderr


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers(trained: Callable[..., Any], value: float) -> None:
    features = np.load("features/train.npy")
    features[7, 2] = value
    write_features(Path.cwd(), "train", features)
    outcome = trained()
    assert outcome.status == 1
    assert "train.npy: row 7 holds a NaN or infinity" in outcome.stderr


def test_truncated_and_missing_features(trained: Callable[..., Any]) -> None:
    path = Path("features/train.npy")
    path.write_bytes(path.read_bytes()[:-100])
    assert "train.npy: damaged features" in trained().stderr
    path.unlink()
    assert "train.npy: no such file; run `dvc repro` or `dvc pull`" in trained().stderr


@pytest.mark.parametrize(
    "array", [np.float32(1), np.array([["a"]]), np.zeros((400, 4))], ids=["0-d", "text", "float64"]
)
def test_features_of_another_type_or_shape(trained: Callable[..., Any], array: np.ndarray) -> None:
    np.save("features/train.npy", array)
    assert ", expected float32 of shape (reviews, dim)" in trained().stderr


def test_a_diverging_rate_is_named(inputs: Path) -> None:
    train_split, val_split = (train.read_split(n, inputs / "split", inputs / "features") for n in ("train", "val"))
    settings = {**SETTINGS, "learning_rate": 0.1, "head_layers": 2}
    params = train.Params.model_validate(settings).model_copy(update={"learning_rate": 1e38})
    config = ClassifierConfig(features=read_metadata(inputs / "features"), threshold=0.4)
    with pytest.raises(ClassifierError, match=r"diverged at train\.learning_rate 1e\+38"):
        train.train(train_split, val_split, params, config, lambda epoch: None)


def test_a_missing_encoder_stops_the_stage(trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.stages.test_train.BUNDLED", Path("nowhere"))
    outcome = trained()
    assert outcome.status == 1
    assert "nowhere/config.json: no such file; expected a Hugging Face encoder folder" in outcome.stderr


def words_auto(
    by_words: bool,
) -> tuple[tuple[LabeledFeatures, LabeledFeatures], train.Params, ClassifierConfig]:
    """Return train and val whose labels are decided by a token that each text has, or by a feature."""
    params = train.Params.model_validate({**SETTINGS, "solver": "lbfgs", "l2": "auto", "words": "auto"})
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400).astype(np.float64)
    chance = rng.integers(0, 2, 400).astype(np.float64)
    token_labels, feature_labels = (labels, chance) if by_words else (chance, labels)
    features = (feature_labels[:, None] + rng.normal(size=(400, 4)) / 4).astype(np.float32)
    tokens = Tokens.of([[int(10 + one), *rng.integers(20, 40, 5).tolist()] for one in token_labels])
    reviews = LabeledFeatures(features, labels, tokens)
    metadata = FeatureMetadata.model_validate_json(json.dumps(INFO))
    is_train = np.arange(400) < 300
    return (reviews[is_train], reviews[~is_train]), params, ClassifierConfig(features=metadata, threshold=0.5)


@pytest.mark.parametrize("by_words", [True, False])
def test_auto_keeps_words_where_val_is_better_with_them(by_words: bool) -> None:
    parts, params, config = words_auto(by_words)
    means = []
    for refits in (False, True):
        classifier = train.solve(*parts, params, config, lambda: None, lambda _: None, refits=refits)
        assert (classifier.words is not None) == by_words
        tested = parts[1]
        assert ((classifier.predict_proba(tested.features, tested.tokens) >= 0.5) == tested.labels).mean() > 0.95
        means.append(classifier.mean)
    assert (means[0] != means[1]).any(), "the second one is solved on val, too"


def test_ctrl_c_ends_both_paths() -> None:
    """Else the path without words, in a thread, would go on to its end, and the stage with it."""
    parts, params, config = words_auto(by_words=True)
    stopped, passes_of_thread = threading.Event(), []

    def on_pass() -> None:
        if threading.current_thread() is threading.main_thread():
            stopped.set()
            raise KeyboardInterrupt
        passes_of_thread.append(stopped.wait(10))
        sleep(0.1)

    with pytest.raises(KeyboardInterrupt):
        train.solve(*parts, params, config, on_pass, lambda _: None)
    assert len(passes_of_thread) <= 2, "of ten"
