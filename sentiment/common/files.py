"""Write files that appear under their name only when they are complete."""

import csv
import fcntl
import io
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` on success, remove it on any failure.

    What a killed process left of the same file is removed first.
    """
    with _partial(path.parent, path.name, Path.touch) as partial:
        yield partial
        partial.replace(path)


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield a new folder in `parent` and remove it at the end; what a killed process left is removed first."""
    with _partial(parent, name, Path.mkdir) as folder:
        yield folder


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`; put it in the place of `path` on success, remove it on any failure."""
    with scratch_folder(path.parent, path.name) as partial:
        yield partial
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)


@contextmanager
def _partial(parent: Path, name: str, create: Callable[[Path], object]) -> Iterator[Path]:
    """Yield a new file or folder under a temporary name; remove it at the end where it has not been renamed.

    A lock says that its process is alive. A process number does not: in containers, the next process has the same one.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent, name)
    descriptor = None
    while descriptor is None:
        path = parent / f".{name}.{secrets.token_hex(4)}.partial"
        create(path)
        with suppress(FileNotFoundError):  # another process has found it before it was locked, and removed it
            descriptor = _lock(path, wait=True)
    try:
        yield path
    finally:
        _remove(path)
        os.close(descriptor)


def _remove_abandoned(parent: Path, name: str) -> None:
    """Remove the partial files and folders of `name` whose process has ended."""
    pattern = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]+\.partial")
    for path in parent.iterdir():
        if pattern.fullmatch(path.name):
            with suppress(OSError):  # locked, removed by another process, or of another user
                descriptor = _lock(path, wait=False)
                _remove(path)
                os.close(descriptor)


def _lock(path: Path, wait: bool) -> int:
    """Lock a file or folder until the descriptor that is returned is closed, or the process ends.

    Raises:
        FileNotFoundError: it is gone.
        OSError: without `wait`, where another process has the lock or the file system has no locks.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError if wait else FileNotFoundError):  # a file system without locks is no reason to stop
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise FileNotFoundError(path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    r"""Write `text` as UTF-8 with `\n` line ends on every system, because DVC hashes raw bytes."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write `content` in full precision; ValueError for NaN, which JSON does not have."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None) -> None:
    r"""Write rows as CSV with a header and `\n` line ends; the columns are by default the keys of the first row.

    A row may have more keys than `columns`; one that it lacks is empty.
    """
    text = io.StringIO()
    names = list(rows[0] if columns is None else columns)
    writer = csv.DictWriter(text, names, extrasaction="raise" if columns is None else "ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
