"""Label the missing units of a plan: in this process, or as tasks of a Ray cluster."""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from sentiment.batch.label import Labeler, Result, Settings, read_unit
from sentiment.batch.plan import Plan, PlannedUnit
from sentiment.batch.units import Unit
from sentiment.common.errors import InputError
from sentiment.inference.formats import plural
from sentiment.inference.readers import InputColumns
from sentiment.ray_tasks import Lost, Work, cluster, run_tasks

SECONDS_BETWEEN_LINES = 10.0  # of progress
SAMPLE_ROWS = 1_000  # labeled to measure a time: seconds with a small encoder
WARM_UP_ROWS = 64
SAMPLE_UNITS = 20  # tried until one has a row

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cluster:
    """The Ray cluster to label on.

    Attributes:
        address: of the cluster; None for RAY_ADDRESS, else a Ray on this machine.
        workers: most units at a time; None for as many as there is room for, as machines join and leave.
        threads: CPUs of a unit.
    """

    address: str | None = None
    workers: int | None = None
    threads: int = 1


def run(plan: Plan, settings: Settings, folder: Path, marker: str, on: Cluster | None = None) -> None:
    """Label the pending units of a plan with the classifier in `folder`, and note what came of each.

    Args:
        plan: of the units.
        settings: of the run.
        folder: of the classifier.
        marker: what `Storage.writable` yielded.
        on: the cluster to label on; None for this process.

    Raises:
        PipelineError: an output cannot be written, the classifier not be loaded, the storage does not answer, or
            workers die before they have labeled anything. The outputs that are written stay; the next run makes the
            others.
    """
    pending = plan.pending()
    if not pending:
        return
    load = partial(Labeler, settings, marker)
    n_done = n_rows = 0
    start = last_line = time.monotonic()
    results = _on_ray(pending, load, folder, settings, on) if on else _here(pending, load, folder)
    with closing(results) as finished:
        for planned, result in finished:
            planned.finish(result)
            n_done, n_rows = n_done + 1, n_rows + result.counts.rows
            if time.monotonic() - last_line > SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                rate = n_rows / (last_line - start)
                log.info("batch: %s of %s, %s at %s rows/s", f"{n_done:,}", *_sizes(len(pending), n_rows, rate))


def _sizes(n_units: int, n_rows: int, rate: float) -> tuple[str, str, str]:
    return plural(n_units, "unit"), plural(n_rows, "row"), f"{rate:,.0f}"


Load = Callable[[Path], Labeler]


def _here(pending: list[PlannedUnit], load: Load, folder: Path) -> Generator[tuple[PlannedUnit, Result]]:
    labeler = load(folder)
    for planned in pending:
        yield planned, labeler(_unit(planned))


def _on_ray(
    pending: list[PlannedUnit], load: Load, folder: Path, settings: Settings, on: Cluster
) -> Generator[tuple[PlannedUnit, Result]]:
    work = Work(load, folder, settings.device, on.threads)
    by_output = {planned.output: planned for planned in pending}
    with cluster(on.address), closing(run_tasks(work, map(_unit, pending), on.workers)) as finished:
        for unit, result in finished:
            if isinstance(result, Lost):
                result = Result("failed", reason=f"{unit.file.name}: {result.reason}")
            yield by_output[unit.output], result


def _unit(planned: PlannedUnit) -> Unit:
    assert planned.unit
    return planned.unit


def estimate(plan: Plan, settings: Settings, folder: Path) -> Iterator[str]:
    """Yield lines about the units that are missing; a sample of their rows is labeled in this process.

    Raises:
        ClassifierError: the classifier is missing or damaged.
    """
    outcomes, pending = plan.outcomes(), plan.pending()
    yield (
        f"{plural(len(pending), 'unit')} to label, {outcomes['kept']:,} there already, "
        f"{outcomes['failed']:,} that cannot be read"
    )
    if not pending:
        return
    rows, size = sum(planned.rows for planned in pending), sum(planned.size for planned in pending)
    yield f"{plural(rows, 'row')} (of files too small to be cut: an estimate), {size:,} bytes"
    labeler = Labeler(settings, "", folder)
    texts = _sample(pending, labeler)
    if not texts:
        yield f"no row in the first {SAMPLE_UNITS} units to measure a time with"
        return
    labeler.classifier.predict_proba(texts[:WARM_UP_ROWS])
    start = time.perf_counter()
    labeler.classifier.predict_proba(texts)
    rate = len(texts) / (time.perf_counter() - start)
    duration = timedelta(seconds=max(1, round(rows / rate)))
    yield f"about {duration} in one process like this one: {plural(len(texts), 'row')} measured at {rate:,.0f} rows/s"


def _sample(pending: list[PlannedUnit], labeler: Labeler) -> list[str]:
    """Return at most `SAMPLE_ROWS` texts of a pending unit."""
    columns = InputColumns(labeler.settings.text_columns)
    for planned in pending[:SAMPLE_UNITS]:
        texts: list[str] = []
        try:
            with read_unit(_unit(planned), labeler.inputs, columns) as table:
                for batch in table.batches:
                    texts += batch.texts
                    if len(texts) >= SAMPLE_ROWS:
                        break
        except InputError:
            continue  # the run itself will name it
        if texts:
            return texts[:SAMPLE_ROWS]
    return []
