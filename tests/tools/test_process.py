"""A command past its limit ends with its children; one that fails is one line."""

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tools.process import CommandError, run, run_with_limit


def test_a_command_past_its_limit_is_ended_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not done after 1 s"):
        run_with_limit(["sh", "-c", "sleep 300 & echo $! > pid; wait"], cwd=tmp_path, env=os.environ, timeout=1)
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 20  # a killed process is still there for a moment
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def test_a_command_that_fails_is_one_line_with_its_own_last_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"^sh -c echo .*: second$"):
        run(tmp_path, "sh", "-c", "echo first >&2; echo second >&2; exit 3")
    assert run(tmp_path, "sh", "-c", "echo out; echo err >&2") == "out\n"
    assert run(tmp_path, "true", quiet=False) == ""


def is_running(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
