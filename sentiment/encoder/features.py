"""Store feature vectors: one .npy file per split, written in any order of rows, read as a memory map; parts, meanwhile.

.npy: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sentiment.common.errors import InputError
from sentiment.common.files import atomic
from sentiment.encoder.config import FeatureMetadata

METADATA = "config.json"  # of a folder of features
ROWS_PER_CHUNK = 65_536  # rows checked together; bounds memory


class FeatureWriter:
    """Writes vectors; see `feature_writer`."""

    def __init__(self, file: IO[bytes], dim: int) -> None:
        self._file = file
        self._dim = dim
        self._first = file.tell()  # the position of row 0

    def write(self, vectors: NDArray[np.float32], row: int | None = None) -> None:
        """Write vectors of shape (rows, dim) from a row on, by default after those that were written last.

        Raises:
            ValueError: they have another shape.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self._dim:
            raise ValueError(f"vectors of shape {vectors.shape}, expected (rows, {self._dim})")
        if row is not None:
            self._file.seek(self._first + row * self._dim * np.dtype("<f4").itemsize)
        self._file.write(np.ascontiguousarray(vectors, dtype="<f4").data)


@contextmanager
def feature_writer(path: Path, rows: int, dim: int) -> Iterator[FeatureWriter]:
    """Write a float32 array of shape (rows, dim) that appears under `path` when the block ends well.

    Plain writes and not a writable memory map: a full disk is then an error and not a killed process, and pages
    already written do not count as memory of ours.
    """
    with atomic(path) as partial, partial.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)}
        np.lib.format.write_array_header_1_0(file, header)
        yield FeatureWriter(file, dim)


class Parts:
    """Vectors that a run has computed so far, so that the run after a kill goes on from there: one .npy file per piece.

    A file is named by a hash of its texts and of what decides their vectors. So a part fits, or is not found, whatever
    has changed between the two runs.

    Attributes:
        n_read: texts whose vectors an earlier run had computed.
    """

    def __init__(self, folder: Path, decides: str, dim: int) -> None:
        """Take a folder, which `remove` removes, and all that decides a vector beside its text."""
        self.n_read = 0
        self._folder = folder
        self._decides = decides
        self._dim = dim

    def _path(self, texts: Sequence[str]) -> Path:
        content = json.dumps([self._decides, *texts])
        return self._folder / f"{blake2b(content.encode(), digest_size=16).hexdigest()}.npy"

    def read(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Return the vectors of the texts, of shape (n_texts, dim); None where they are not there, or not whole."""
        try:
            vectors: NDArray[np.float32] = np.load(self._path(texts), allow_pickle=False)
        except (FileNotFoundError, ValueError, EOFError):
            return None
        if vectors.shape != (len(texts), self._dim) or vectors.dtype != np.dtype("<f4"):
            return None
        self.n_read += len(texts)
        return vectors

    def write(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Keep the vectors of the texts."""
        with atomic(self._path(texts)) as partial, partial.open("wb") as file:
            np.save(file, np.asarray(vectors, dtype="<f4"))

    def remove(self) -> None:
        """Remove every part: what they were kept for is complete."""
        shutil.rmtree(self._folder, ignore_errors=True)


def read_features(path: Path, rows: int) -> NDArray[np.float32]:
    """Return the features as a memory map of shape (rows, dim); writes to it stay in memory.

    Raises:
        InputError: the file is missing, damaged, has another number of rows, or holds a NaN or an infinity.
    """
    try:
        features: NDArray[np.float32] = np.load(path, mmap_mode="c")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro` or `dvc pull`") from None
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: damaged features ({error}); run `dvc repro --force encode`") from None
    if features.ndim != 2 or features.dtype != np.dtype("<f4"):
        found = f"{features.dtype} of shape {features.shape}"
        raise InputError(f"{path}: {found}, expected float32 of shape (reviews, dim); run `dvc repro --force encode`")
    if len(features) != rows:
        raise InputError(f"{path}: features of {len(features)} reviews, expected {rows} as in the split")
    _check_finite(path, features)
    return features


def read_metadata(folder: Path) -> FeatureMetadata:
    """Return how the features in `folder` were made; raises InputError when that is missing or damaged."""
    try:
        return FeatureMetadata.model_validate_json((folder / METADATA).read_bytes())
    except FileNotFoundError:
        raise InputError(f"{folder / METADATA}: no such file; run `dvc repro` or `dvc pull`") from None
    except ValidationError:
        raise InputError(f"{folder / METADATA}: damaged; run `dvc repro --force encode`") from None


def _check_finite(path: Path, features: NDArray[np.float32]) -> None:
    """Raise InputError with the first row that holds a NaN or an infinity."""
    for start in range(0, len(features), ROWS_PER_CHUNK):
        bad = np.flatnonzero(~np.isfinite(features[start : start + ROWS_PER_CHUNK]).all(axis=1))
        if len(bad):
            raise InputError(f"{path}: row {start + bad[0]} holds a NaN or infinity; run `dvc repro --force encode`")
