"""A section of params.yaml in; the typed parameters of a stage out, or an error that names the wrong key.

Small and stable on purpose: every stage depends on this file.
"""

import json
import re
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from sentiment.common.errors import ParamsError, one_line


class StageParams(BaseModel):
    """Base of every stage's `Params`: immutable, strict about types, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


StageParamsT = TypeVar("StageParamsT", bound=StageParams)


class _Yaml12Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e-4 as a number, as YAML 1.2 does and DVC writes it."""


_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def load_params(params: Path, name: str, model: type[StageParamsT]) -> StageParamsT:
    """Return section `name` of the YAML file `params` as `model`.

    Raises:
        ParamsError: names the first wrong key in full (`train.epochs`), what was found and what was expected.
    """
    try:
        sections = yaml.load(params.read_text(encoding="utf-8"), _Yaml12Loader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        raise ParamsError(f"{params}: no such file; run from the root of the project") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{params}: not readable as YAML: {one_line(error)}") from None
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
