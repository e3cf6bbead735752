"""Read a section of params.yaml as the typed parameters of a stage, or name the wrong key.

Small and stable on purpose: every stage depends on this file.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from sentiment.common.errors import InputError, ParamsError, one_line

ROOT = Path(__file__).parents[2]  # of the checkout
CODE = ("stages", "sentiment")  # its folders with the modules that a stage imports
OTHER_SLICES = ("rating", "length")  # that `evaluate.slices` can name beside prepare.slice_columns


class StageParams(BaseModel):
    """Base of every stage's `Params`: immutable, strict about types, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


StageParamsT = TypeVar("StageParamsT", bound=StageParams)


def read_yaml(content: str | bytes, name: str) -> Any:
    """Return what a YAML document holds, read as DVC reads it: by YAML 1.2, where 017 is 17 and 1e-4 is a number.

    Args:
        content: the document.
        name: its file, for the message.

    Raises:
        ParamsError: it is not valid YAML.
    """
    from ruamel.yaml import YAML  # a dependency of DVC, which labeling does not need
    from ruamel.yaml.error import YAMLError

    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        return YAML(typ="safe").load(text)  # as dvc.utils.serialize does
    # ValueError: not UTF-8, or a date such as 2026-13-01; others: a scalar that is not what its tag says, as `!!int ""`
    except (YAMLError, ValueError, ArithmeticError, AttributeError, LookupError, TypeError, RecursionError) as error:
        raise ParamsError(f"{name}: not readable as YAML: {one_line(error)}") from None


def load_params(params: Path, name: str, model: type[StageParamsT]) -> StageParamsT:
    """Return section `name` of the YAML file `params` as `model`.

    Raises:
        ParamsError: names the first wrong key in full (`train.epochs`), what was found and what was expected.
    """
    try:
        sections = read_yaml(params.read_bytes(), str(params))
    except FileNotFoundError:
        raise ParamsError(f"{params}: no such file; run from the root of the project") from None
    if not isinstance(sections, dict) or not isinstance(sections.get(name), dict):
        raise ParamsError(f"{params}: section '{name}' is missing; expected keys {', '.join(model.model_fields)}")
    try:
        # through JSON, where a list may become a tuple while types stay strict
        return model.model_validate_json(json.dumps(sections[name], default=_as_tagged, ensure_ascii=False))
    except ValidationError as error:
        reason = _explain(name, model, error.errors()[0])
        # `dvc exp run -S` leaves a refused value in the file, where the next run reads it
        raise ParamsError(f"{params}: {reason}; to go back: git checkout {params}") from None
    except (TypeError, ValueError, RecursionError):  # a key that is a list, or an anchor that holds itself
        raise ParamsError(f"{params}: section '{name}' has a key or value that is neither text nor number") from None


def check_slices(sections: Any) -> None:
    """Raise ParamsError where `evaluate.slices` names columns that `prepare` does not keep.

    The last stage reads them, and every stage checks them: a wrong name must not be found after hours of training.
    """
    try:
        kept, named = sections["prepare"].get("slice_columns", []), sections["evaluate"]["slices"]
    except (KeyError, TypeError, AttributeError):
        return  # the stage whose section it is says what is wrong with it
    if not isinstance(kept, list) or not isinstance(named, list):
        return
    if missing := [repr(name) for name in named if name not in (*kept, *OTHER_SLICES)]:
        expected = ", ".join([*OTHER_SLICES, *map(repr, kept)])
        raise ParamsError(
            f"evaluate.slices: no column {', '.join(missing)}; expected {expected}, or another of prepare.slice_columns"
        )


class StageInputs(Generic[StageParamsT]):
    """What a stage reads; at its end, `check_unchanged` stops where that is no longer what is there.

    DVC reads params.yaml and hashes the deps after a stage has run. What changed meanwhile would be recorded as what
    made the outputs, and the run cache would give them to everyone. DVC records nothing of a stage that fails.

    Attributes:
        params: section `name` of params.yaml.
    """

    def __init__(self, file: Path, name: str, model: type[StageParamsT]) -> None:
        """Read section `name` of the YAML file; raises ParamsError as `load_params` and `check_slices` do."""
        self.params = load_params(file, name, model)
        check_slices(read_yaml(file.read_bytes(), str(file)))
        self._file, self._name = file, name
        self._paths: list[Path] = []
        self._code = {path for folder in CODE for path in (ROOT / folder).rglob("*.py")}
        self._before = _signatures(self._code)

    def watch(self, *paths: Path) -> None:
        """Note the state of files and folders that the stage is about to read."""
        self._paths += paths
        self._before |= _signatures(paths)

    def check_unchanged(self) -> None:
        """Raise ParamsError where the section has changed, InputError where an input or an imported module has."""
        advice = "was changed while the stage ran: its outputs are not recorded; run `dvc repro` again"
        if load_params(self._file, self._name, type(self.params)) != self.params:
            raise ParamsError(f"{self._file}: section '{self._name}' {advice}")
        imported = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        ignored = {path for path in self._code if str(path) not in imported}
        changes = self._before.items() ^ _signatures([*self._paths, *self._code]).items()
        if changed := sorted(path for path, _ in changes if path not in ignored):
            raise InputError(f"{changed[0]} {advice}")


def _signatures(paths: Iterable[Path]) -> dict[Path, tuple[int, int, int]]:
    """Return size, time of the last change and inode of every file at or below the paths."""
    files = (file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    found = ((file, file.stat()) for file in files)
    return {file: (stat.st_size, stat.st_mtime_ns, stat.st_ino) for file, stat in found}


def _as_tagged(value: object) -> dict[str, str]:
    """Return a date or other value that JSON does not have as an object, which no key takes.

    As a text, it could be another one than in the file: 2026-11-23T23:30:00-05:00 is read as a time in UTC.
    """
    return {type(value).__name__: str(value)}


def _explain(name: str, model: type[StageParams], error: ErrorDetails) -> str:
    """Return one sentence about an error of pydantic."""
    key = ".".join([name, *map(str, error["loc"])])
    if error["type"] == "extra_forbidden":
        return f"{key} is unknown; expected one of {', '.join(model.model_fields)}"
    if error["type"] == "missing":
        return f"{key} is missing"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not error["loc"]:  # a rule on several keys at once
        return f"{name}: expected {message}"
    return f"{key} is {error['input']!r}, expected {message}"
