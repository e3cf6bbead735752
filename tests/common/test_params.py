"""Which values of params.yaml are refused, and with which message."""

from pathlib import Path

import pytest

from sentiment.common.errors import ParamsError
from sentiment.common.params import load_params
from sentiment.data.splitting import SplitParams
from sentiment.encoder.config import EncodeParams
from stages.train import Params as TrainParams

TRAIN = {
    "seed": "0",
    "head_layers": "1",
    "hidden_size": "256",
    "dropout": "0.0",
    "learning_rate": "0.0001",
    "weight_decay": "0.0",
    "l2": "0.0",
    "epochs": "30",
    "batch_size": "16",
    "threshold": "0.5",
}


def write_params(folder: Path, **keys: str | None) -> Path:
    lines = [f"  {key}: {value}" for key, value in {**TRAIN, **keys}.items() if value is not None]
    path = folder / "params.yaml"
    path.write_text("\n".join(["train:", *lines]))
    return path


@pytest.mark.parametrize(("written", "value"), [("1e-4", 1e-4), ("1E-4", 1e-4), ("1.e-4", 1e-4), ("1", 1.0)])
def test_a_number_in_scientific_notation_is_a_number(tmp_path: Path, written: str, value: float) -> None:
    assert load_params(write_params(tmp_path, learning_rate=written), "train", TrainParams).learning_rate == value


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"learning_rat": "0.1"}, "train.learning_rat is unknown; expected one of seed, "),
        ({"epochs": None}, "train.epochs is missing"),
        ({"epochs": '"30"'}, "train.epochs is '30', expected a valid integer"),
        ({"epochs": "3.5"}, "train.epochs is 3.5, expected a valid integer"),
        ({"epochs": "true"}, "train.epochs is True, expected a valid integer"),
        ({"learning_rate": "fast"}, "train.learning_rate is 'fast', expected a valid number"),
        ({"learning_rate": "-1"}, "train.learning_rate is -1, expected greater than 0"),
        ({"learning_rate": ".nan"}, "train.learning_rate is nan, expected a finite number"),
        ({"dropout": "1.0"}, "train.dropout is 1.0, expected less than 1"),
        ({"hidden_size": "1000000000"}, "train.hidden_size is 1000000000, expected less than or equal to 4096"),
        ({"weight_decay": "1e300"}, "train: expected learning_rate * weight_decay below 1, found 1e+296"),
        ({"seed": "[1]"}, "train.seed is [1], expected a valid integer"),
        ({"seed": "2026-11-23"}, "train.seed is '2026-11-23', expected a valid integer"),
    ],
)
def test_a_wrong_key_is_refused_by_its_full_name(tmp_path: Path, keys: dict[str, str | None], message: str) -> None:
    with pytest.raises(ParamsError) as refused:
        load_params(write_params(tmp_path, **keys), "train", TrainParams)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_choice_is_refused_with_the_choices(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("encode: {max_length: 20, pooling: sum, precision: auto, device: auto}", "utf-8")
    with pytest.raises(ParamsError, match=r"encode\.pooling is 'sum', expected 'cls', 'mean', 'max' or 'mean\+max'"):
        load_params(path, "encode", EncodeParams)


def test_val_and_test_that_sum_to_1_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("split: {salt: s, val: 0.5, test: 0.5}")
    with pytest.raises(ParamsError, match=r"split: expected val \+ test below 1"):
        load_params(path, "split", SplitParams)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train: [", "not readable as YAML"),
        ("", "section 'train' is missing"),
        ("train: 3", "section 'train' is missing"),
    ],
)
def test_a_file_without_the_section_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(ParamsError, match=message):
        load_params(path, "train", TrainParams)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="no such file"):
        load_params(tmp_path / "params.yaml", "train", TrainParams)
