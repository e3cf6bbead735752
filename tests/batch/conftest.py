"""`sentiment batch` as a process of its own, with the Ray workers that it starts."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.cli.app import main
from tests.command_call import call_command
from tests.project import SAMPLE, Project

TIMEOUT = 240  # seconds a command may take, whatever else the machine does


@dataclass(frozen=True)
class Outcome:
    """Exit status and log of one command."""

    status: int
    stderr: str


Batch = Callable[..., Outcome]


def command(*arguments: object) -> list[str]:
    """Return the command line of `sentiment batch`."""
    return [sys.executable, "-m", "sentiment", "batch", *map(str, arguments)]


@pytest.fixture
def batch(completed_template: Project) -> Batch:
    """Run `sentiment batch` in a project with a classifier, and wait for its end."""

    def call(*arguments: object, **environment: str) -> Outcome:
        done = subprocess.run(
            command(*arguments),
            cwd=completed_template.root,
            env=completed_template.environment(**environment),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert "Traceback" not in done.stderr
        return Outcome(done.returncode, done.stderr)

    return call


@pytest.fixture
def batch_here(
    completed_template: Project,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> Batch:
    """Run `sentiment batch` in the process of the test, which saves the seconds of a new one."""

    def call(*arguments: object) -> Outcome:
        monkeypatch.chdir(completed_template.root)
        status, log = call_command(lambda: main(["batch", *map(str, arguments)]), caplog, "sentiment")
        return Outcome(status, log + capsys.readouterr().err)

    return call


@pytest.fixture(scope="session")
def sample_table(completed_template: Project) -> pa.Table:
    """The first 300 rows of the sample, every column text."""
    import pandas as pd

    return pa.Table.from_pandas(
        pd.read_csv(completed_template.root / SAMPLE, nrows=300, dtype="str", keep_default_na=False)
    )


@pytest.fixture
def inputs(sample_table: pa.Table, tmp_path: Path) -> Path:
    """A folder with the sample in each format, the compressed ones included."""
    folder = tmp_path / "inputs"
    (folder / "2025").mkdir(parents=True)
    frame = sample_table.to_pandas()
    frame.to_csv(folder / "a.csv", index=False)
    frame.to_csv(folder / "2025" / "b.csv.gz", index=False)
    frame.to_csv(folder / "2025" / "c.tsv", index=False, sep="\t")
    frame.to_json(folder / "d.jsonl", orient="records", lines=True)
    pq.write_table(sample_table, folder / "e.parquet", row_group_size=70)
    return folder


@contextmanager
def started(project: Project, *arguments: object, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """`sentiment batch` as a running process; it and its workers are gone when the block ends."""
    with subprocess.Popen(
        command(*arguments),
        cwd=project.root,
        env=project.environment(**environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()


def workers_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Return the Ray workers below a driver that are doing a task."""
    children = psutil.Process(process.pid).children(recursive=True)
    found = []
    for child in children:
        with suppress(psutil.NoSuchProcess):
            if "ray::_do" in "".join(child.cmdline()):
                found.append(child)
    return found


def write_csv(path: Path, first: int, n_rows: int) -> None:
    """Write a CSV file of reviews that differ."""
    lines = [f"Look {row},Soft and warm number {row} and the color is lovely\n" for row in range(first, first + n_rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("Title,Review Text\n" + "".join(lines))


def outputs(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every output by its name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def manifest(folder: Path) -> Any:
    """Return the manifest of a run."""
    return json.loads((folder / "_manifest.json").read_text())


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of all units of an input, in order."""
    paths = sorted((folder / name).parent.glob(f"{Path(name).name}.*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]
