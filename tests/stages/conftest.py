"""A stage run as the command line runs it, without the seconds of a new process."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
import yaml

from sentiment.common.command import run_main
from stages import prepare
from tests.command_call import call_command

HEADER = "Title,Review Text,Rating,Department Name\n"
GOOD = HEADER + 'Nice,"Soft, and warm",5,Tops\n,Too big,2,Tops\n'
PARAMS = {
    "source": "reviews.csv",
    "text_columns": ["Title", "Review Text"],
    "rating_column": "Rating",
    "rating_min": 1,
    "rating_max": 5,
    "positive_above": 3,
    "drop_ratings": [],
    "slice_columns": ["Department Name"],
}


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status, and what it said on standard error."""

    status: int
    stderr: str


class PrepareRun(NamedTuple):
    """How the stage ended, the rows of its table and its counts; empty where it failed."""

    outcome: Outcome
    rows: list[dict[str, Any]]
    counts: dict[str, float]


RunPrepare = Callable[..., PrepareRun]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[..., Outcome]:
    """Call a stage's main with arguments, through the same `run` that `python -m` uses."""

    def call(main: Callable[[], None], *arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["stage", *map(str, arguments)])
        return Outcome(*call_command(lambda: run_main(main), caplog))

    return call


@pytest.fixture
def run_prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Outcome]) -> RunPrepare:
    """Run the stage on CSV text or bytes; with None there is no file."""
    monkeypatch.chdir(tmp_path)

    def call(content: str | bytes | None, **params: object) -> PrepareRun:
        if content is not None:
            Path("reviews.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        Path("params.yaml").write_text(yaml.safe_dump({"prepare": {**PARAMS, **params}}))
        outcome = command(prepare.main, "--output", "out/reviews.parquet", "--metrics", "out/prepare.json")
        if outcome.status:
            assert not list(Path("out").glob("**/*")), "a failed run leaves no file"
            return PrepareRun(outcome, [], {})
        rows = pq.read_table("out/reviews.parquet").to_pylist()
        return PrepareRun(outcome, rows, json.loads(Path("out/prepare.json").read_text()))

    return call
