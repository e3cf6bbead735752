"""How a command ends: exit status, one line on standard error, and no file left behind."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sentiment.common.files import atomic_folder, scratch_folder

ROOT = Path(__file__).parents[2]
TIMEOUT = 60  # seconds

WRITER = """
import sys, time
from pathlib import Path
from sentiment.common.command import run_main
from sentiment.common.files import atomic, scratch_folder

def main():
    with scratch_folder(Path("out"), "prepare") as folder, atomic(Path("out/file")) as partial:
        partial.write_text("half")
        (folder / "reviews").write_text("text")
        print("ready", flush=True)
        time.sleep(60)

run_main(main)
"""


def run_code(code: str, cwd: Path, shell_suffix: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python code under bash, so that streams can be redirected or closed."""
    return subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {shell_suffix}', sys.executable, code],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip


def start_writer(cwd: Path) -> subprocess.Popen[str]:
    """Start a command that writes, and return when its partial files exist."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # background shells ignore it
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        (signal.SIGTERM, 143, "stopped by SIGTERM"),
        (signal.SIGHUP, 129, "stopped by SIGHUP"),
        (signal.SIGINT, 130, "stopped by Ctrl-C"),
    ],
)
def test_a_stopped_command_removes_its_partial_files(
    tmp_path: Path, number: signal.Signals, status: int, message: str
) -> None:
    process = start_writer(tmp_path)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == status
    assert stderr.strip() == message
    assert list((tmp_path / "out").iterdir()) == []


def test_a_signal_whose_exception_python_drops_is_not_forgotten(tmp_path: Path) -> None:
    code = """
import signal
from sentiment.common.command import run_main, stop_if_asked

class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

def main():
    Dying()
    stop_if_asked()
    print("went on")

run_main(main)
"""
    done = run_code(code, tmp_path)
    assert (done.returncode, done.stdout) == (143, ""), done.stderr


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    killed = start_writer(tmp_path)
    killed.kill()
    killed.communicate(timeout=TIMEOUT)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(left) == 2
    running = start_writer(tmp_path)
    present = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(present) == 2
    assert not left & present
    running.terminate()
    running.communicate(timeout=TIMEOUT)


def test_a_run_keeps_the_partial_files_of_one_that_is_alive(tmp_path: Path) -> None:
    first, second = start_writer(tmp_path), start_writer(tmp_path)
    assert len(list((tmp_path / "out").iterdir())) == 4
    for process in (first, second):
        process.terminate()
        process.communicate(timeout=TIMEOUT)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_of_a_killed_process_with_the_same_number_is_removed(tmp_path: Path) -> None:
    """In a container every process may be number 7."""
    left = tmp_path / f".prepare.{os.getpid()}.partial"
    (left / "reviews").mkdir(parents=True)
    with scratch_folder(tmp_path, "prepare") as folder:
        assert list(tmp_path.iterdir()) == [folder]
    with atomic_folder(tmp_path / "prepare") as folder:
        (folder / "file").write_text("text")
    assert [path.name for path in tmp_path.rglob("*")] == ["prepare", "file"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "prepare").stat().st_mode) == 0o777 & ~umask


def test_a_pipe_that_is_closed_early_ends_the_command_silently(tmp_path: Path) -> None:
    code = "from sentiment.common.command import run_main\nrun_main(lambda: print('x\\n' * 1_000_000))"
    outcome = run_code(code, tmp_path, "| head -n 1; exit ${PIPESTATUS[0]}")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (141, "x\n", "")


@pytest.mark.parametrize(
    ("body", "closed"), [("print('label')", ">&-"), ("print('label')", "> /dev/full"), ("sys.stdin.read()", "<&-")]
)
def test_a_stream_that_cannot_be_used_is_one_line(tmp_path: Path, body: str, closed: str) -> None:
    code = f"import sys\nfrom sentiment.common.command import run_main\nrun_main(lambda: {body})"
    outcome = run_code(code, tmp_path, closed)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("error: ")
    assert outcome.stderr.count("\n") == 1


def test_a_program_that_takes_too_long_is_one_line(tmp_path: Path) -> None:
    code = "import subprocess\nfrom sentiment.common.command import run_main\n"
    outcome = run_code(f"{code}run_main(lambda: subprocess.run(['sleep', '20'], timeout=0.1))", tmp_path)
    assert (outcome.returncode, outcome.stderr) == (1, "error: sleep 20 took longer than 0.1 s\n")


def test_closed_standard_streams_do_not_change_a_command_that_uses_none(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom sentiment.common.command import run_main\n"
        "from sentiment.common.files import write_text\nrun_main(lambda: write_text(Path('file'), 'text'))"
    )
    outcome = run_code(code, tmp_path, "<&- >&- 2>&-")
    assert outcome.returncode == 0
    assert (tmp_path / "file").read_text() == "text"


def test_too_little_memory_is_one_line(tmp_path: Path) -> None:
    code = (
        "import numpy as np\nfrom sentiment.common.command import run_main\n"
        "run_main(lambda: np.zeros((10**9, 10**9)) and None)"
    )
    outcome = run_code(code, tmp_path)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("error: not enough memory: Unable to allocate")
    assert outcome.stderr.count("\n") == 1


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    outcome = run_code("from sentiment.common.command import run_main\nrun_main(lambda: 1 // 0)", tmp_path)
    assert outcome.returncode == 1
    assert "Traceback" in outcome.stderr


def test_the_objects_of_torch_are_not_searched_for_garbage(tmp_path: Path) -> None:
    """Else `sentiment predict` of one text takes a third longer: half of it at the import, half at the exit."""
    code = """
import atexit, gc
from sentiment.common.command import run_main

collections = []
gc.callbacks.append(lambda phase, info: collections.append(info["generation"]) if phase == "start" else None)
atexit.register(lambda: print(len(collections), gc.get_freeze_count(), len(gc.get_objects())))

def main():
    import torch

run_main(main)
"""
    n_collections, n_hidden, n_searched = map(int, run_code(code, tmp_path).stdout.split())
    assert n_collections < 50  # 380 by default, in Python 3.11
    assert n_hidden > 100_000
    assert n_searched < 1_000


def test_an_error_that_quotes_a_review_cannot_move_the_cursor(tmp_path: Path) -> None:
    code = """
from sentiment.common.command import run_main
from sentiment.common.errors import InputError

def main():
    raise InputError("row 2: 'Soft\\x1b[31m\\x9b and\\x07 warm'\\nexpected a rating")

run_main(main)
"""
    done = run_code(code, tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: row 2: 'Soft [31m  and  warm'\nexpected a rating\n"
