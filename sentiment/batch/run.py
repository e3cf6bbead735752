"""Label the missing units of a plan: in this process, or as tasks of a Ray cluster."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import timedelta

import numpy as np

from sentiment.batch.label import ID_SIZE, Result
from sentiment.batch.plan import Plan
from sentiment.batch.units import Unit
from sentiment.inference.formats import plural
from sentiment.ray_tasks import Work, WorkerError, cluster, run_tasks

SECONDS_BETWEEN_LINES = 10.0  # of progress
MAX_IDS = 20_000_000  # that are compared to find those that repeat: 160 MB

log = logging.getLogger(__name__)


Results = Generator[tuple[Unit, Result]]


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
    with cluster(address), closing(run_tasks(work, iter(units), max_tasks)) as finished:
        for unit, result in finished:
            if isinstance(result, WorkerError):
                result = Result("failed", reason=f"{unit.file.name}: {result}")
            yield unit, result
