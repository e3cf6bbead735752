"""Random YAML in params.yaml: a stage gets for every key what DVC reads and records, or refuses it in one line.

FUZZ_EXAMPLES=700 takes two minutes.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dvc.dependency.param import read_param_file
from dvc.fs import localfs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentiment.common.errors import ParamsError
from sentiment.common.params import StageParams, load_params
from sentiment.data.splitting import SplitParams
from stages.check import Params as CheckParams
from stages.evaluate import Params as EvaluateParams
from stages.prepare import Params as PrepareParams
from stages.train import Params as TrainParams
from tests.project import DEFAULTS

pytestmark = pytest.mark.slow

N_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "50")) * 20
fuzz = settings(max_examples=N_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

MODELS: Mapping[str, type[StageParams]] = {
    "prepare": PrepareParams,  # texts, numbers, lists of both
    "split": SplitParams,  # a text
    "train": TrainParams,  # whole numbers, numbers
    "check": CheckParams,  # words
    "evaluate": EvaluateParams,  # true or false
}
GOOD: Mapping[str, dict[str, Any]] = read_param_file(localfs, str(DEFAULTS / "params.yaml"), list(MODELS), flatten=True)
KEYS = [(name, key) for name, model in MODELS.items() for key in model.model_fields]

LIKELY = ["017", "3", "8", "0o7", "0x1F", "1_0", "0.5", ".5", "5.e-1", "1e-4", "1E-4", "1e0", "true", "yes", "off", "~",
          "x", "'017'", '"a b"', "é", "[]", "[a, b]", "[length]", "[1, 2.5]", "[017, 1e0]", "[yes]", "[~]"]  # fmt: skip
# separated by two blanks; what a reader of YAML 1.1 takes for a number, a date or a truth value is among them
UNLIKELY = (
    r"""
0b11  1_000  +3  -0  1.  5e  5e0  1e400  1:30  190:20:30  1:30.5  .inf  -.Inf  .nan  .NaN  nan  inf  Yes  No  On  TRUE
n  null  NULL  2026-11-23  2026-13-01  2026-11-23T12:30:45Z  2026-11-23 23:30:45.1 -5  12:30:45  ""  "\ud800"
"\ud800\udc00"  "\x41"  !!int 8  !!int "8"  !!int 017  !!int  !!str 8  !!str 017  !!float 1  !!float "x"  !!bool yes
!!bool 3  !!null x  !!binary aGk=  !!set {a}  !!omap [a: 1]  !!timestamp x  !!python/name:os.system  !own x  <<: *a
=  {}  {a: 1}  - 1  ? x  :  9007199254740993  18446744073709551616  'a''b'  a # b  %  @  `  &  *  !  >  |
""".replace("\n", "  ")
    .strip()
    .split("  ")
)
CHARACTERS = "0123456789_.eEoxXb+-:~yYnNtTrRuUaAfFlLsS!#&*'\"[]{},|> \n\t\r\0\x85\u2028\ufeffé👗"
SCALAR = st.one_of(
    st.sampled_from(LIKELY),
    st.sampled_from(LIKELY),
    st.sampled_from(UNLIKELY),
    st.integers(0, 1_000).map(str),
    st.floats().map(repr),
    st.text(CHARACTERS, max_size=12),
    st.text(max_size=8).map(json.dumps),
)
STARTS = [b"\xef\xbb\xbf", b"---\n", b"---\r\n", b"%YAML 1.1\n---\n", b"%YAML 1.2\n---\n", b"# \xff\n", b"\t\n"]
ENDS = [b"\n...\n", b"\n---\ntrain: {}\n", b"\n# \xff", b"\n\t", b"\n\xef\xbb\xbf# x\n", b"\r\n"]


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a section, and a params.yaml in which the value of one of its keys is random."""
    name, key = draw(st.sampled_from(KEYS))
    scalar = draw(SCALAR)
    values = {one: json.dumps(value) for one, value in GOOD[name].items()} | {key: scalar}
    style = draw(st.sampled_from(["block", "block", "block", "flow", "anchor", "merge", "twice", "quoted key"]))
    if style == "anchor":
        values = {key: f"&a {scalar}"} | {one: value for one, value in values.items() if one != key}
        other = draw(st.sampled_from(sorted(values)))
        values |= {other: "*a"} if other != key else {}
    lines = [f"{one}: {value}" for one, value in values.items()]
    if style == "twice":
        lines.insert(draw(st.integers(0, len(lines))), f"{key}: {draw(SCALAR)}")
    if style == "merge":
        lines = ["<<: *base", f"{key}: {scalar}"]
    if style == "quoted key":
        lines = [line if one != key else f'"{key}": {scalar}' for one, line in zip(values, lines, strict=True)]
    text = f"base: &base {json.dumps(GOOD[name])}\n" if style == "merge" else ""
    text += f"{name}: {{{', '.join(lines)}}}" if style == "flow" else f"{name}:\n  " + "\n  ".join(lines)
    damage = draw(st.sampled_from(["none", "none", "none", "lines", "ends"]))
    if damage == "lines":
        text = text.replace("\n", draw(st.sampled_from(["\r\n", "\r", "\n\t", "\n  "])))
    content = text.encode("utf-8", "surrogatepass")
    if damage == "ends":
        content = draw(st.sampled_from([b"", *STARTS])) + content + draw(st.sampled_from([b"", *ENDS]))
    return name, content


def is_the_same(ours: object, of_dvc: object) -> bool:
    """Return whether a stage uses the value that DVC records; a whole number may stand for a float."""
    if isinstance(ours, tuple):
        if not isinstance(of_dvc, list) or len(ours) != len(of_dvc):
            return False
        return all(map(is_the_same, ours, of_dvc))
    if isinstance(ours, float) and isinstance(of_dvc, int | float) and not isinstance(of_dvc, bool):
        return ours == float(of_dvc)
    return type(ours) is type(of_dvc) and ours == of_dvc


def load_or_error(path: Path, name: str) -> tuple[StageParams | None, str]:
    """Return a section as its stage reads it, or why it refuses it."""
    try:
        return load_params(path, name, MODELS[name]), ""
    except ParamsError as error:
        return None, str(error)


@fuzz
@given(document=documents())
def test_a_stage_gets_what_dvc_records_or_refuses_it(document: tuple[str, bytes]) -> None:
    name, content = document
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "params.yaml")
        path.write_bytes(content)
        params, error = load_or_error(path, name)
        if params is None:
            assert "\n" not in error
            return
        recorded = read_param_file(localfs, str(path), [name], flatten=True)[name]
    assert set(recorded) == set(MODELS[name].model_fields)
    for one, value in recorded.items():
        assert is_the_same(getattr(params, one), value), (one, value)
