"""Which values of params.yaml are refused, and with which message."""

import os
from pathlib import Path

import pytest
from dvc.utils.serialize import parse_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.common.errors import InputError, ParamsError
from sentiment.common.params import StageInputs, load_params, read_yaml
from sentiment.data.splitting import SplitParams
from sentiment.encoder.config import EncodeParams
from stages.train import Params as TrainParams

TRAIN = {
    "solver": "adam",
    "class_weight": "none",
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


def read_as_dvc(text: str) -> object:
    """Return what DVC reads, or the type of our error where it reads nothing."""
    try:
        return parse_yaml(text, "params.yaml")
    except Exception:  # DVC itself ends in a traceback for some scalars, such as the date 2026-13-01
        return ParamsError


def read_as_stages(text: str) -> object:
    try:
        return read_yaml(text, "params.yaml")
    except ParamsError:
        return ParamsError


SCALARS = """
017 0o17 0x1F 0b11 1_000 +3 -0 1. 1e-4 1E-4 1.e-4 .5e1 5e 1:30 .inf -.Inf .nan yes No on off true TRUE ~ null
2026-11-23 2026-13-01 12:30:45 "1e3" 'x' !!int 8 !!str 8 !!float 1 !!binary aGk= <<: [1, 2] {a: 1} &a 3 *a @ %
"""


@pytest.mark.parametrize("scalar", SCALARS.split())
def test_a_scalar_is_what_dvc_reads(scalar: str) -> None:
    text = f"train: {{epochs: {scalar}}}"
    assert repr(read_as_stages(text)) == repr(read_as_dvc(text))


@settings(deadline=None, max_examples=300)
@given(st.text("0123456789_.eEoxXb+-:~yYnNtTrRuUaAfFlLsS!#&*'\"[]{},|> \n", max_size=12))
def test_any_text_is_what_dvc_reads(scalar: str) -> None:
    text = f"train:\n  epochs: {scalar}\n"
    assert repr(read_as_stages(text)) == repr(read_as_dvc(text))


def test_a_number_with_a_leading_zero_and_an_anchor_are_read_as_dvc_records_them(tmp_path: Path) -> None:
    path = write_params(tmp_path, learning_rate="1e-4", seed="&n 017", epochs="*n")
    params = load_params(path, "train", TrainParams)
    assert (params.learning_rate, params.epochs, params.seed) == (1e-4, 17, 17)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"learning_rat": "0.1"}, "train.learning_rat is unknown; expected one of solver, "),
        ({"epochs": None}, "train.epochs is missing"),
        ({"epochs": '"30"'}, "train.epochs is '30', expected a valid integer"),
        ({"epochs": "3.5"}, "train.epochs is 3.5, expected a valid integer"),
        ({"epochs": "true"}, "train.epochs is True, expected a valid integer"),
        ({"learning_rate": "fast"}, "train.learning_rate is 'fast', expected a valid number"),
        ({"learning_rate": ".5e1"}, "train.learning_rate is '.5e1', expected a valid number"),
        ({"learning_rate": "1.5"}, "train.learning_rate is 1.5, expected less than or equal to 1"),
        ({"l2": "1e300"}, "train.l2 is 1e+300, expected 'auto' or a number from 0 to 1000000"),
        ({"l2": "false"}, "train.l2 is False, expected 'auto' or a number from 0 to 1000000"),
        ({"learning_rate": "-1"}, "train.learning_rate is -1, expected greater than 0"),
        ({"learning_rate": ".nan"}, "train.learning_rate is nan, expected a finite number"),
        ({"dropout": "1.0"}, "train.dropout is 1.0, expected less than 1"),
        ({"hidden_size": "1000000000"}, "train.hidden_size is 1000000000, expected less than or equal to 4096"),
        ({"weight_decay": "1e300"}, "train: expected learning_rate * weight_decay below 1, found 1e+296"),
        ({"seed": "[1]"}, "train.seed is [1], expected a valid integer"),
        ({"seed": "2026-11-23"}, "train.seed is {'date': '2026-11-23'}, expected a valid integer"),
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
        ("train: &x {seed: *x}", "section 'train' has a key or value"),
        ('train: {seed: !!int ""}', "not readable as YAML"),
        ("train: {seed: !!bool 3}", "not readable as YAML"),
        ("train: {seed: !!timestamp x}", "not readable as YAML"),
        ("train: {[1, 2]: 3}", "section 'train' has a key or value"),
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


def test_slices_that_prepare_does_not_keep_stop_every_stage(tmp_path: Path) -> None:
    path = write_params(tmp_path)
    train = path.read_text() + "\n"
    slices = "evaluate: {slices: [Size, rating, Shop, length, Color]}\n"
    path.write_text(train + "prepare: {slice_columns: [Shop]}\n" + slices)
    with pytest.raises(ParamsError, match="no column 'Size', 'Color'; expected rating, length, 'Shop', or another"):
        StageInputs(path, "train", TrainParams)
    path.write_text(train + "prepare: 3\n" + slices)  # `prepare` itself says what is wrong
    StageInputs(path, "train", TrainParams)


@pytest.fixture
def inputs(tmp_path: Path) -> StageInputs[TrainParams]:
    """The inputs of a stage that has begun: a section, a file and a folder."""
    stage = StageInputs(write_params(tmp_path), "train", TrainParams)
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder/a", "folder/b"):
        (tmp_path / name).write_text("before")
    stage.watch(tmp_path / "file", tmp_path / "folder")
    return stage


def test_what_does_not_change_is_no_error(inputs: StageInputs[TrainParams], tmp_path: Path) -> None:
    inputs.check_unchanged()
    with (tmp_path / "params.yaml").open("a") as file:
        file.write("\n# a comment\nevaluate: {seed: 1}\n")
    inputs.check_unchanged()


def test_a_section_that_changes_while_the_stage_runs_stops_it(inputs: StageInputs[TrainParams], tmp_path: Path) -> None:
    write_params(tmp_path, epochs="3")
    with pytest.raises(ParamsError, match="section 'train' was changed while the stage ran: its outputs are not rec"):
        inputs.check_unchanged()


@pytest.mark.parametrize("name", ["file", "folder/b", "folder/c"])
def test_an_input_that_changes_while_the_stage_runs_stops_it(
    inputs: StageInputs[TrainParams], tmp_path: Path, name: str
) -> None:
    (tmp_path / "new").write_text("after!")  # of equal size
    (tmp_path / "new").rename(tmp_path / name)
    with pytest.raises(InputError, match=f"{name} was changed while the stage ran"):
        inputs.check_unchanged()


def test_an_input_that_is_removed_while_the_stage_runs_stops_it(
    inputs: StageInputs[TrainParams], tmp_path: Path
) -> None:
    (tmp_path / "folder/a").unlink()
    with pytest.raises(InputError, match="folder/a was changed while the stage ran"):
        inputs.check_unchanged()


def test_only_the_code_that_a_stage_has_imported_must_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import stages.train

    monkeypatch.setattr("sentiment.common.params.ROOT", tmp_path)
    (tmp_path / "stages").mkdir()
    module, other = tmp_path / "stages" / "train.py", tmp_path / "stages" / "other.py"
    for file in (module, other):
        file.write_text("")
    monkeypatch.setattr(stages.train, "__file__", str(module))
    stage = StageInputs(write_params(tmp_path), "train", TrainParams)
    os.utime(other, (1, 1))
    stage.check_unchanged()
    os.utime(module, (1, 1))
    with pytest.raises(InputError, match=r"stages/train\.py was changed"):
        stage.check_unchanged()
