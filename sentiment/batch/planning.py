"""Inputs and outputs in; a Plan of what is missing, or was made by another classifier or from another input, out."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from sentiment.batch.cutting import cut
from sentiment.batch.listing import Inputs
from sentiment.batch.metadata import Counts, OutputMetadata
from sentiment.batch.plan import Plan
from sentiment.batch.settings import Settings
from sentiment.batch.storage import FileInfo, Storage
from sentiment.batch.units import Part, Shard, Unit, output_name
from sentiment.batch.work import shorten
from sentiment.common.errors import InputError, one_line

THREADS = 16  # that ask the storage; most of their time they wait for it
FILES_AT_ONCE = 64


@dataclass(frozen=True)
class PlannedUnit:
    """A unit, and the counts of its output where that is there already."""

    unit: Unit
    existing: Counts | None


@dataclass(frozen=True)
class Planner:
    """Finds the units of a run.

    Attributes:
        inputs: which files.
        source, target: storage of inputs and of outputs.
        settings: of the run.
        shard: whose units are wanted.
        changes_outputs: whether outputs of units that no longer exist are removed.
    """

    inputs: Inputs
    source: Storage
    target: Storage
    settings: Settings
    shard: Shard
    changes_outputs: bool = True

    def fill(self, plan: Plan, on_file: Callable[[], object] | None = None) -> None:
        """Add every unit of the shard to a plan.

        Raises:
            InputError: there is no input.
            StorageError: the storage refuses.
        """
        n_files = 0
        with ThreadPoolExecutor(THREADS) as pool:
            for files in _chunks(self.inputs.list(self.source)):
                for (path, file), planned in zip(files, pool.map(self._plan_file, files), strict=True):
                    n_files += 1
                    self._add(plan, path, file, planned)
                    if on_file:
                        on_file()
        if not n_files:
            raise InputError(f"{self.settings.inputs}: no Parquet, CSV, TSV or JSON lines file there")

    def _add(self, plan: Plan, path: str, file: FileInfo, planned: "list[PlannedUnit] | str") -> None:
        if isinstance(planned, str):
            if self.shard.has(output_name(path, 0)):
                plan.add_failed(path, file.size, planned)
            return
        for one in planned:
            part = one.unit.part
            size = file.size
            if len(planned) > 1:
                size = part.rows * file.size // sum(other.unit.part.rows for other in planned)
            plan.add(one.unit, size, one.existing)

    def _plan_file(self, file_and_path: tuple[str, FileInfo]) -> "list[PlannedUnit] | str":
        """Return the units of one file that are this shard's, or why it cannot be cut."""
        path, file = file_and_path
        first = OutputMetadata.read(self.target, self._target(path, 0))
        try:
            parts = self._known_parts(first, file) or cut(file, self.source, self.settings.unit_rows)
        except InputError as error:
            return shorten(one_line(error))
        all_parts = tuple(parts) if parts != [Part()] else ()
        units = [Unit(file, path, index, part, all_parts if index == 0 else ()) for index, part in enumerate(parts)]
        planned = []
        for unit in units:
            if not self.shard.has(unit.output):
                continue
            found = first if unit.index == 0 else OutputMetadata.read(self.target, self._target(path, unit.index))
            is_current = found is not None and found.is_of(unit, self.settings.fingerprint)
            planned.append(PlannedUnit(unit, found.counts if found and is_current else None))
        if self.changes_outputs and first and not first.is_of(units[0], self.settings.fingerprint):
            self._remove_from(path, len(units))
        return planned

    def _known_parts(self, first: OutputMetadata | None, file: FileInfo) -> list[Part] | None:
        """Return how the file was cut before, where that is the same file; it need not be read through again."""
        if first is None or first.etag != file.etag or first.max_rows != self.settings.unit_rows:
            return None
        return list(first.parts) or [first.part]

    def _remove_from(self, path: str, index: int) -> None:
        """Remove the outputs of units that the file, now shorter, no longer has.

        Before its first unit is labeled again: as long as that is not done, a later run comes here too.
        """
        while self.target.tail(self._target(path, index), 1) is not None:
            self.target.delete(self._target(path, index))
            index += 1

    def _target(self, path: str, index: int) -> str:
        return f"{self.settings.outputs}/{output_name(path, index)}"


def _chunks(files: Iterator[tuple[str, FileInfo]]) -> Iterator[list[tuple[str, FileInfo]]]:
    while chunk := list(islice(files, FILES_AT_ONCE)):
        yield chunk
