"""Run a batch: find the units that are missing, or were made by another classifier or from another input; label them.

They are labeled in this process, or as tasks of a Ray cluster.
"""

import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from sentiment.batch.label import ID_SIZE, PENDING, Counts, OutputMetadata, Result, Settings, shorten
from sentiment.batch.storage import BadEntry, Storage
from sentiment.batch.units import Inputs, Part, Shard, Unit, cut, output_name
from sentiment.common.errors import InputError, one_line
from sentiment.inference.formats import plural
from sentiment.ray_tasks import Work, WorkerError, cluster, run_tasks
from sentiment.storage.s3 import FileInfo

THREADS = 16  # that ask the storage; most of their time they wait for it
FILES_AT_ONCE = 64
MANIFEST, ERRORS = "_manifest{}.json", "_errors{}.jsonl"
OUTCOMES = ("kept", "written", "failed", "pending")
SECONDS_BETWEEN_LINES = 10.0  # of progress
MAX_IDS = 20_000_000  # that are compared to find those that repeat: 160 MB

log = logging.getLogger(__name__)

Results = Generator[tuple[Unit, Result]]


@dataclass(slots=True)
class PlannedUnit:
    """A unit, or an input that could not be cut into units, and what came of it.

    Attributes:
        path: of the input, relative to the folder of inputs.
        size: bytes of the unit's share of the input.
        unit: to label, or None.
        result: what came of it.
    """

    path: str
    size: int
    unit: Unit | None = None
    result: Result = PENDING

    def record(self, output: str) -> dict[str, Any]:
        """Return the unit's line of the manifest."""
        outcome = self.result.outcome
        details = {"reason": self.result.reason} if outcome == "failed" else asdict(self.result.counts)
        return {"output": output, "input": self.path, "outcome": outcome, **details}


@dataclass
class Plan:
    """The units of a run by the name of their output, about 1 kB of memory each; by that of the input without one."""

    units: dict[str, PlannedUnit] = field(default_factory=dict)

    def pending(self) -> list[Unit]:
        """Return the units to label, in random order: two runs on the same outputs meet seldom at the same unit."""
        units = [
            planned.unit for planned in self.units.values() if planned.unit and planned.result.outcome == "pending"
        ]
        random.shuffle(units)
        return units

    def outcomes(self) -> "Counter[str]":
        """Return the number of units by outcome."""
        return Counter(planned.result.outcome for planned in self.units.values())

    def counts(self) -> Counts:
        """Return the counts of all rows."""
        totals: Counter[str] = Counter()
        for planned in self.units.values():
            totals.update(asdict(planned.result.counts))
        return Counts(**totals)


@dataclass(frozen=True)
class Planner:
    """Finds the units of a shard.

    Attributes:
        source, target: storage of inputs and of outputs.
        settings: of the run.
        shard: whose units are wanted.
        changes_outputs: whether outputs of units that no longer exist are removed.
    """

    source: Storage
    target: Storage
    settings: Settings
    shard: Shard
    changes_outputs: bool

    def plan(self, inputs: Inputs) -> Plan:
        """Return the units of inputs.

        Raises:
            InputError: there is no input.
            StorageError: the storage refuses.
        """
        plan, files, has_input = Plan(), inputs.list(self.source), False
        with ThreadPoolExecutor(THREADS) as pool:
            while chunk := list(islice(files, FILES_AT_ONCE)):
                has_input = True
                for units in pool.map(partial(self.plan_file, inputs=inputs), chunk):
                    plan.units |= units
        if not has_input:
            raise InputError(f"{self.settings.inputs}: no Parquet, CSV, TSV or JSON lines file there")
        return plan

    def plan_file(self, path_and_file: tuple[str, FileInfo | BadEntry], inputs: Inputs) -> dict[str, PlannedUnit]:
        """Return the units of one file that are this shard's; one that has failed where the file cannot be cut."""
        path, file = path_and_file
        try:
            if isinstance(file, BadEntry):
                raise InputError(f"{file.name}: {file.reason}")
            folder, target = f"{self.settings.inputs.rstrip('/')}/", self._target(path, 0)
            if target.startswith(folder) and inputs.matches(target.removeprefix(folder)):
                raise InputError(f"{file.name}: its output would be below the inputs; choose another --output")
            return self._units(path, file)
        except InputError as error:
            failed = Result("failed", reason=shorten(one_line(error)))
            return {path: PlannedUnit(path, 0, result=failed)} if self.shard.has(output_name(path, 0)) else {}

    def _units(self, path: str, file: FileInfo) -> dict[str, PlannedUnit]:
        first = OutputMetadata.read(self.target, self._target(path, 0))
        parts: Sequence[Part]
        if first and (first.etag, first.max_rows) == (file.etag, self.settings.unit_rows):
            parts = first.parts or [first.part]  # the file need not be read through again
        else:
            parts = cut(file, self.source, self.settings.unit_rows)
        n_rows = sum(part.rows for part in parts)
        all_parts = () if list(parts) == [Part()] else tuple(parts)
        units = [Unit(file, path, index, part, all_parts if index == 0 else ()) for index, part in enumerate(parts)]
        planned = {}
        for unit in filter(lambda unit: self.shard.has(unit.output), units):
            size = file.size if len(units) == 1 else unit.part.rows * file.size // n_rows
            planned[unit.output] = PlannedUnit(path, size, unit)
            made = first if unit.index == 0 else OutputMetadata.read(self.target, self._target(path, unit.index))
            if made and made.is_of(unit, self.settings.fingerprint):
                planned[unit.output].result = Result("kept", made.counts)
        if self.changes_outputs and first and not first.is_of(units[0], self.settings.fingerprint):
            self._remove_from(path, len(units))
        return planned

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
    """Write the manifest and the file of errors; where no unit has failed, remove one that an earlier run wrote.

    Raises:
        StorageError: they cannot be written.
    """
    records = [plan.units[output].record(output) for output in sorted(plan.units)]
    errors = f"{settings.outputs}/{ERRORS.format(shard.suffix)}"
    if failed := [record for record in records if record["outcome"] == "failed"]:
        storage.put(errors, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in failed).encode())
    else:
        storage.delete(errors)
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    outcomes = plan.outcomes()
    totals = {"outcomes": {name: outcomes[name] for name in OUTCOMES}, "counts": asdict(plan.counts())}
    content = f'{{"classifier": "{settings.fingerprint}",\n"units": [\n{lines}\n],\n{json.dumps(totals)[1:]}\n'
    storage.put(f"{settings.outputs}/{MANIFEST.format(shard.suffix)}", content.encode())


def run(plan: Plan, work: Work, engine: Callable[[list[Unit], Work], Results]) -> None:
    """Label the pending units of a plan by an engine, `here` or `on_ray`, and note what came of each.

    Raises:
        PipelineError: an output cannot be written, the classifier not be loaded, the storage does not answer, or
            workers die before they have labeled anything. The outputs that are written stay; the next run makes the
            others.
    """
    pending = plan.pending()
    if not pending:
        return
    size_left = size = sum(plan.units[unit.output].size for unit in pending)
    n_done = n_rows = 0
    ids = bytearray()
    start = last_line = time.monotonic()
    with closing(engine(pending, work)) as finished:
        for unit, result in finished:
            planned = plan.units[unit.output]
            planned.result = Result(result.outcome, result.counts, result.reason)
            n_done, n_rows, size_left = n_done + 1, n_rows + result.counts.rows, size_left - planned.size
            ids += result.ids[: MAX_IDS * ID_SIZE - len(ids)]
            if time.monotonic() - last_line > SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                left = timedelta(seconds=round((last_line - start) * size_left / max(1, size - size_left)))
                progress = f"{n_done:,} of {plural(len(pending), 'unit')}, {plural(n_rows, 'row')}"
                log.info(
                    "batch: %s at %s rows/s, about %s left", progress, f"{n_rows / (last_line - start):,.0f}", left
                )
    hashes = np.frombuffer(ids, dtype=f"u{ID_SIZE}")
    if n_repeated := len(hashes) - len(np.unique(hashes)):
        rows = f"{plural(n_repeated, 'row')} {'has' if n_repeated == 1 else 'have'}"
        log.warning("batch: %s the id of an earlier row; the id alone does not name a review", rows)


def here(units: list[Unit], work: Work) -> Results:
    """Label units in this process; yield each with its result."""
    labeler = work.load(work.folder)
    for unit in units:
        yield unit, labeler(unit, lambda n_rows: None)


def on_ray(units: list[Unit], work: Work, address: str | None, max_tasks: int | None) -> Results:
    """Label units as tasks of a cluster, as `cluster` and `run_tasks` take it; yield each with its result."""
    with cluster(address) as grows, closing(run_tasks(work, iter(units), max_tasks, grows=grows)) as finished:
        for unit, result in finished:
            if isinstance(result, WorkerError):
                result = Result("failed", reason=f"{unit.file.name}: {result}")
            yield unit, result
