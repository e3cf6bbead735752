"""Peak memory of a command, whatever the memory of the process that asks."""

import sys
from pathlib import Path

from benchmarks.peak_memory import peak_memory


def test_memory_of_the_process_that_asks_is_not_counted(tmp_path: Path) -> None:
    held = b"x" * 300_000_000
    small = peak_memory([sys.executable, "-c", "pass"], tmp_path / "peak", timeout=60)
    large = peak_memory([sys.executable, "-c", "b'x' * 200_000_000"], tmp_path / "peak", timeout=60)
    assert small < 100e6 < len(held)
    assert large >= 200e6
