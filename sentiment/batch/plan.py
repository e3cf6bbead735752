"""Compare inputs with outputs: which units are missing, or were made by another classifier or from another input."""

import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from sentiment.batch.label import Counts, OutputMetadata, Result, Settings, shorten
from sentiment.batch.storage import BadEntry, Storage
from sentiment.batch.units import UNKNOWN, Inputs, Part, Shard, Unit, cut, output_name
from sentiment.common.errors import InputError, one_line
from sentiment.storage.s3 import FileInfo

THREADS = 16  # that ask the storage; most of their time they wait for it
FILES_AT_ONCE = 64
BYTES_PER_ROW = 300  # of reviews; for the rows of files that are too small to be counted beforehand
MANIFEST, ERRORS = "_manifest{}.json", "_errors{}.jsonl"
OUTCOMES = ("kept", "written", "failed", "pending")


@dataclass(slots=True)
class PlannedUnit:
    """A unit, or an input that could not be cut into units, and what came of it.

    Attributes:
        output: name of the output, relative to the folder of outputs; the input's path where there is no unit.
        path: of the input, relative to the folder of inputs.
        size: bytes of the unit's share of the input.
        unit: to label, or None.
        outcome: so far.
        counts: of its rows.
        reason: why it failed, or "".
    """

    output: str
    path: str
    size: int
    unit: Unit | None = None
    outcome: Literal["pending", "kept", "written", "failed"] = "pending"
    counts: Counts = field(default_factory=Counts)
    reason: str = ""

    @property
    def rows(self) -> int:
        """Return the number of rows; that of a file that is too small to be counted is an estimate."""
        if self.unit is None or self.unit.part.rows != UNKNOWN:
            return self.unit.part.rows if self.unit else 0
        return self.size // BYTES_PER_ROW + 1

    def finish(self, result: Result) -> None:
        """Note what came of the unit."""
        self.outcome, self.counts, self.reason = result.outcome, result.counts, result.reason


class Plan:
    """The units of a run by the name of their output, about 1 kB of memory each."""

    def __init__(self) -> None:
        self.units: dict[str, PlannedUnit] = {}

    def pending(self) -> list[PlannedUnit]:
        """Return the units to label, in random order: two runs on the same outputs meet seldom at the same unit."""
        units = [unit for unit in self.units.values() if unit.outcome == "pending"]
        random.shuffle(units)
        return units

    def outcomes(self) -> "Counter[str]":
        """Return the number of units by outcome."""
        return Counter(unit.outcome for unit in self.units.values())

    def counts(self) -> Counts:
        """Return the counts of all rows."""
        totals: Counter[str] = Counter()
        for unit in self.units.values():
            totals.update(asdict(unit.counts))
        return Counts(**totals)


def make_plan(
    inputs: Inputs,
    source: Storage,
    target: Storage,
    settings: Settings,
    shard: Shard,
    *,
    changes_outputs: bool = True,
) -> Plan:
    """Return the units of a shard.

    Args:
        inputs: which files.
        source, target: storage of inputs and of outputs.
        settings: of the run.
        shard: whose units are wanted.
        changes_outputs: whether outputs of units that no longer exist are removed.

    Raises:
        InputError: there is no input, or an output would be read as an input by the next run.
        StorageError: the storage refuses.
    """
    plan, found = Plan(), False
    planner = _Planner(source, target, settings, shard, changes_outputs)
    files = inputs.list(source)
    with ThreadPoolExecutor(THREADS) as pool:
        while chunk := list(islice(files, FILES_AT_ONCE)):
            found = True
            for units in pool.map(planner.plan_file, chunk):
                plan.units.update({unit.output: unit for unit in units})
    if not found:
        raise InputError(f"{settings.inputs}: no Parquet, CSV, TSV or JSON lines file there")
    return plan


@dataclass(frozen=True)
class _Planner:
    source: Storage
    target: Storage
    settings: Settings
    shard: Shard
    changes_outputs: bool

    def plan_file(self, path_and_file: tuple[str, FileInfo | BadEntry]) -> list[PlannedUnit]:
        """Return the units of one file that are this shard's; one that has failed where the file cannot be cut."""
        path, file = path_and_file
        try:
            return self._units(path, file)
        except InputError as error:
            if not self.shard.has(output_name(path, 0)):
                return []
            size = 0 if isinstance(file, BadEntry) else file.size
            return [PlannedUnit(path, path, size, outcome="failed", reason=shorten(one_line(error)))]

    def _units(self, path: str, file: FileInfo | BadEntry) -> list[PlannedUnit]:
        if isinstance(file, BadEntry):
            raise InputError(f"{file.name}: {file.reason}")
        if f"{self._target(path, 0)}/".startswith(f"{self.settings.inputs.rstrip('/')}/"):
            raise InputError(f"{file.name}: its output would be below the inputs; choose another --output")
        first = OutputMetadata.read(self.target, self._target(path, 0))
        parts = self._known_parts(first, file) or cut(file, self.source, self.settings.unit_rows)
        n_rows = sum(part.rows for part in parts)
        all_parts = tuple(parts) if parts != [Part()] else ()
        units = [Unit(file, path, index, part, all_parts if index == 0 else ()) for index, part in enumerate(parts)]
        planned = []
        for unit in units:
            if not self.shard.has(unit.output):
                continue
            size = file.size if len(units) == 1 else unit.part.rows * file.size // n_rows
            planned.append(PlannedUnit(unit.output, path, size, unit))
            found = first if unit.index == 0 else OutputMetadata.read(self.target, self._target(path, unit.index))
            if found is not None and found.is_of(unit, self.settings.fingerprint):
                planned[-1].finish(Result("kept", found.counts))
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


def write_manifest(plan: Plan, storage: Storage, settings: Settings, shard: Shard) -> None:
    """Write the manifest and the file of errors, unit by unit, by way of temporary files.

    Where no unit has failed, a file of errors that an earlier run wrote is removed.

    Raises:
        OutputError: they cannot be written.
    """
    units = [plan.units[output] for output in sorted(plan.units)]
    errors = f"{settings.outputs}/{ERRORS.format(shard.suffix)}"
    with tempfile.TemporaryDirectory(prefix="sentiment-batch-") as folder:
        path = Path(folder) / "file"
        failed = [unit for unit in units if unit.outcome == "failed"]
        if failed:
            with path.open("w", encoding="utf-8") as file:
                for unit in failed:
                    record = {"output": unit.output, "input": unit.path, "reason": unit.reason}
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
            storage.put_file(errors, path)
        else:
            storage.delete(errors)
        with path.open("w", encoding="utf-8") as file:
            file.writelines(_lines(plan, units, settings))
        storage.put_file(f"{settings.outputs}/{MANIFEST.format(shard.suffix)}", path)


def _lines(plan: Plan, units: list[PlannedUnit], settings: Settings) -> Iterator[str]:
    """Yield the manifest, a unit per line, and the totals."""
    yield f'{{"classifier": "{settings.fingerprint}",\n"units": [\n'
    for index, unit in enumerate(units):
        record: dict[str, Any] = {"output": unit.output, "input": unit.path, "outcome": unit.outcome}
        record |= {"reason": unit.reason} if unit.outcome == "failed" else asdict(unit.counts)
        yield (",\n" if index else "") + json.dumps(record, ensure_ascii=False)
    outcomes = plan.outcomes()
    totals = {"outcomes": {name: outcomes[name] for name in OUTCOMES}, "counts": asdict(plan.counts())}
    yield f"\n],\n{json.dumps(totals)[1:]}\n"
