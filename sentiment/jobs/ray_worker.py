"""The actor that labels units on a Ray cluster, and what it is given."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentiment.jobs.labeling import Reply, load_labeler
from sentiment.jobs.settings import Settings
from sentiment.jobs.units import Unit


class UnitLabeler:
    """An actor: labels one unit at a time, and meanwhile tells how many rows it has done.

    Args:
        settings: of the run.
        classifier: the classifier's files by their relative names.
        folder: the driver's, for relative paths and `.dvc/config.local`, where this machine has it too.
    """

    def __init__(self, settings: Settings, classifier: Mapping[str, bytes], folder: str) -> None:
        if Path(folder).is_dir():
            os.chdir(folder)
        with tempfile.TemporaryDirectory(prefix="sentiment-classifier-") as to:
            for name, data in classifier.items():
                path = Path(to) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            self._labeler = load_labeler(settings, Path(to))
        self._rows = 0

    def label(self, unit: Mapping[str, Any]) -> dict[str, Any]:
        """Label a unit and return its reply."""
        self._rows = 0
        labeler = self._labeler
        reply = labeler if isinstance(labeler, Reply) else labeler.label(Unit.from_mapping(unit), self._add)
        return reply.as_mapping()

    def rows(self) -> int:
        """Return how many texts of the current unit are labeled."""
        return self._rows

    def _add(self, n_rows: int) -> None:
        self._rows += n_rows


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder by its relative name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
