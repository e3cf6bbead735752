"""Compiled kernels are kept and read again; damage, a read-only home and concurrent first runs do no harm."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentiment.numerics import compiling
from tests.project import ROOT


def doubled(values: Any) -> None:
    for i in range(len(values)):
        values[i] = values[i] * np.float32(2)


def run() -> Any:
    """Run the kernel as a new process would, by a form that has nothing in memory, and return that form."""
    kernel: Any = compiling.kernel(__file__)(doubled)
    values = np.arange(9, dtype=np.float32)
    kernel(values)
    assert values.tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    return kernel


def n_read(kernel: Any) -> int:
    """Return how many compiled forms came from the cache."""
    return sum(kernel.stats.cache_hits.values())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return compiling.cache_folder()


def test_a_kernel_is_compiled_once(cache: Path) -> None:
    assert n_read(run()) == 0
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    assert n_read(run()) == 1
    (file,) = cache.iterdir()
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["empty", "short", "changed", "no digest"])
def test_a_damaged_file_is_compiled_again(cache: Path, damage: str) -> None:
    run()
    (file,) = cache.iterdir()
    content = file.read_bytes()
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    file.write_bytes({"empty": b"", "short": content[:middle], "changed": changed, "no digest": content[32:]}[damage])
    assert n_read(run()) == 0
    assert n_read(run()) == 1, "the file has been replaced"


@pytest.mark.parametrize("kind", ["file in the way", "read-only", "no home"])
def test_without_a_writable_cache_a_kernel_stays_in_memory(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    if kind == "file in the way":
        folder.write_text("")
    elif kind == "read-only":
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        folder.mkdir(mode=0o500)
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", no_home)
    assert n_read(run()) == 0
    assert n_read(run()) == 0


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_a_kernel_for_other_sources_or_another_processor_is_another_file(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    monkeypatch.setattr(compiling, "sources_digest", lambda _: "of other sources")
    assert n_read(run()) == 0
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr("numba.__version__", "another")
    assert n_read(run()) == 0
    assert len(list(cache.iterdir())) == 3


PROGRAM = """
import json
from tests.numerics.test_compiling import n_read, run
print(json.dumps(n_read(run())))
"""


def start(cache: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), **environment},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> int:
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    number: int = json.loads(stdout)
    return number


def test_processes_that_start_at_one_time_share_the_cache(tmp_path: Path) -> None:
    """Of two processors, too: a home can be on several machines."""
    other = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    for process in [start(tmp_path, environment) for environment in ({}, {}, other)]:
        finish(process)
    folder = tmp_path / compiling.cache_folder().relative_to(compiling.cache_folder().parents[1])
    assert len(list(folder.iterdir())) == 2, "nothing unfinished is left"
    assert [finish(start(tmp_path, environment)) for environment in ({}, other)] == [1, 1]
