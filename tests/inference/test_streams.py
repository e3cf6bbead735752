"""`sentiment predict` as a process: memory, closed pipes, Ctrl-C."""

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.peak_memory import peak_memory
from tests.project import Project

COMMAND = (sys.executable, "-m", "sentiment", "predict")


@contextmanager
def started(project: Project, *command: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the project, ended with the test."""

    def heed_ctrl_c() -> None:
        """A shell ignores Ctrl-C for what it starts in the background, and its children inherit that."""
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with subprocess.Popen(
        command, cwd=project.root, env=project.environment(), preexec_fn=heed_ctrl_c, **streams
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.slow
def test_100_000_short_texts_within_1_2_gb(completed_template: Project, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"{word}\n" for word in ("good", "bad", "fine", "soft") * 25_000))
    with (
        texts.open("rb") as lines,
        (tmp_path / "labels.csv").open("wb") as labels,
        (tmp_path / "log").open("wb") as log,
    ):
        peak = peak_memory(
            [*COMMAND, "-"],
            tmp_path / "peak",
            cwd=completed_template.root,
            env=completed_template.environment(),
            timeout=600,
            stdin=lines,
            stdout=labels,
            stderr=log,
        )
    assert "100,000 rows" in (tmp_path / "log").read_text()
    assert peak < 1.2e9
    with (tmp_path / "labels.csv").open() as file:
        assert sum(1 for _ in file) == 100_001


def test_a_closed_pipe_ends_quietly(completed_template: Project) -> None:
    texts = "yes good | head -n 20000"
    done = completed_template.run("bash", "-c", f"{texts} | {shlex.join(COMMAND)} - | head -n 1")
    assert done.stdout == "id,probability,sentiment\n"
    assert done.stderr == ""


def test_predictions_come_before_the_input_ends(completed_template: Project) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with started(completed_template, *COMMAND, "-", **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"good\n" * 64)
        process.stdin.flush()
        assert [process.stdout.readline().split(b",")[0] for _ in range(65)] == [
            b"id",
            *(str(row).encode() for row in range(1, 65)),
        ]


@pytest.mark.parametrize("output", ["labels.csv", "labels.parquet", "-"])
def test_ctrl_c_leaves_no_partial_file_and_reports_the_rows(
    completed_template: Project, tmp_path: Path, output: str
) -> None:
    target = output if output == "-" else str(tmp_path / output)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(completed_template, *COMMAND, "-", "--output", target, **pipes) as process:
        assert process.stdin is not None
        process.stdin.write(b"good\n" * 320)  # the first two batches; then it waits for more
        process.stdin.flush()
        if output == "-":
            assert process.stdout is not None
            for _ in range(321):
                process.stdout.readline()
            time.sleep(0.5)  # rows are counted right after they are written
        else:
            wait_for_rows(tmp_path)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    outcome = "rows written" if output == "-" else f"rows labeled, {target} not written"
    assert stderr.decode().strip().splitlines()[-1] == f"stopped by Ctrl-C: 320 {outcome}"
    assert "Traceback" not in stderr.decode()
    assert list(tmp_path.iterdir()) == []


def wait_for_rows(folder: Path) -> None:
    """Return a moment after the partial file has stopped to grow."""
    sizes = [0]
    deadline = time.monotonic() + 120
    while len(sizes) < 4 or sizes[-1] == 0 or sizes[-1] != sizes[-3]:
        assert time.monotonic() < deadline
        time.sleep(0.5)
        sizes.append(sum(path.stat().st_size for path in folder.iterdir()))
