"""A stage run as the command line runs it, without the seconds of a new process."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sentiment.common.command import run_main


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status, and what it said on standard error."""

    status: int
    stderr: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[..., Outcome]:
    """Call a stage's main with arguments, through the same `run` that `python -m` uses."""

    def call(main: Callable[[], None], *arguments: object) -> Outcome:
        caplog.set_level(logging.INFO)
        caplog.clear()
        monkeypatch.setattr(sys, "argv", ["stage", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run_main(main)
        return Outcome(int(ended.value.code or 0), caplog.text and "\n".join(caplog.messages))

    return call
