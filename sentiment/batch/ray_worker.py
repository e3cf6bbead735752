"""The actor that labels or encodes units on a Ray cluster, and what it is given."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentiment.batch.units import Unit
from sentiment.batch.work import Job, Reply, load_worker


class UnitWorker:
    """An actor: does one unit at a time, and meanwhile tells how many rows it has done.

    Args:
        job: what to do.
        model: the files of the job's folder by their relative names.
        folder: the driver's, for relative paths and `.dvc/config.local`, where this machine has it too.
    """

    def __init__(self, job: Job, model: Mapping[str, bytes], folder: str) -> None:
        if Path(folder).is_dir():
            os.chdir(folder)
        with tempfile.TemporaryDirectory(prefix="sentiment-model-") as to:
            for name, data in model.items():
                path = Path(to) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            self._worker = load_worker(job, Path(to))
        self._rows = 0

    def run(self, unit: Mapping[str, Any], payload: Any) -> dict[str, Any]:
        """Do a unit and return its reply."""
        self._rows = 0
        worker = self._worker
        reply = worker if isinstance(worker, Reply) else worker.run(Unit.from_mapping(unit), self._add, payload)
        return reply.as_mapping()

    def rows(self) -> int:
        """Return how many texts of the current unit are done."""
        return self._rows

    def _add(self, n_rows: int) -> None:
        self._rows += n_rows


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder by its relative name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
