"""Writes files that appear under their name only when they are complete."""

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` on success, remove it on any failure.

    What a killed process left of the same file is removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_name(path.parent, path.name)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield a new folder in `parent` and remove it at the end; a killed process's folder is removed first."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = _partial_name(parent, name)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`; put it in the place of `path` on success, remove it on any failure."""
    with scratch_folder(path.parent, path.name) as partial:
        yield partial
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)
        partial.mkdir()  # which the end of `scratch_folder` removes


def _partial_name(parent: Path, name: str) -> Path:
    """Return the temporary name of this process; remove the names of processes that no longer run."""
    pattern = re.compile(rf"\.{re.escape(name)}\.(\d+)\.partial")
    for path in parent.iterdir():
        if (match := pattern.fullmatch(path.name)) and not _is_running(int(match[1])):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    return parent / f".{name}.{os.getpid()}.partial"


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's, or no process number at all
        return True
    return True


def write_text(path: Path, text: str) -> None:
    r"""Write `text` as UTF-8 with `\n` line ends on every system, because DVC hashes raw bytes."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write `content` in full precision; ValueError for NaN, which JSON does not have."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None) -> None:
    r"""Write rows as CSV with a header and `\n` line ends; the columns are by default the keys of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0] if columns is None else columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
