"""Read a section of params.yaml as the typed parameters of a stage, or name the wrong key.

Small and stable on purpose: every stage depends on this file.
"""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from sentiment.common.errors import ParamsError, one_line


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
    from ruamel.yaml import YAML, YAMLError  # a dependency of DVC, which labeling does not need

    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        return YAML(typ="safe").load(text)  # as dvc.utils.serialize does
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, or a date such as 2026-13-01
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
        return model.model_validate_json(json.dumps(sections[name], default=str))
    except ValidationError as error:
        reason = _explain(name, model, error.errors()[0])
        # `dvc exp run -S` leaves a refused value in the file, where the next run reads it
        raise ParamsError(f"{params}: {reason}; to go back: git checkout {params}") from None


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
