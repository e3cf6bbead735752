"""Commands end with all their children, within their limit; one that fails is one line."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tools.process import CommandError, run, run_with_limit

STUBBORN = "trap '' TERM; echo $BASHPID > pid; while :; do sleep 0.2; done"  # does not end by SIGTERM


def assert_ends(pid: int) -> None:
    """A process that was killed is still there for a moment."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        deadline = time.monotonic() + 20
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    "script",
    [
        "sleep 300 & echo $! > pid; wait",
        f"({STUBBORN}) & wait",  # the command itself ends by SIGTERM, its child does not
        f"({STUBBORN}) & sleep 0.3",  # the command has ended, its child holds the output open
    ],
    ids=["child", "stubborn child", "child of an ended command"],
)
def test_a_command_past_its_limit_is_ended_with_its_children(tmp_path: Path, script: str) -> None:
    with pytest.raises(CommandError, match="not done after 1 s"):
        run_with_limit(["bash", "-c", script], cwd=tmp_path, env=os.environ, timeout=1)
    assert_ends(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("status", [0, 3])
def test_a_child_that_a_command_leaves_behind_is_ended(tmp_path: Path, status: int) -> None:
    script = f"({STUBBORN}) > /dev/null 2>&1 & sleep 0.3; exit {status}"
    done = run_with_limit(["bash", "-c", script], cwd=tmp_path, env=os.environ, timeout=30)
    assert done.returncode == status
    assert_ends(int((tmp_path / "pid").read_text()))


def test_a_signal_ends_the_command_and_a_child_that_ignores_it(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from sentiment.common.command import run_main
from tools.process import run
run_main(lambda: run(Path({str(tmp_path)!r}), "bash", "-c", {f"({STUBBORN}) & wait"!r}) and 0)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    pid = tmp_path / "pid"
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (128 + signal.SIGTERM, "stopped by SIGTERM\n")
    assert_ends(int(pid.read_text()))


def test_a_command_that_fails_is_one_line_with_its_own_last_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"^sh -c echo .*: second$"):
        run(tmp_path, "sh", "-c", "echo first >&2; echo second >&2; exit 3")
    assert run(tmp_path, "sh", "-c", "echo out; echo err >&2") == "out\n"
    assert run(tmp_path, "true", quiet=False) == ""
