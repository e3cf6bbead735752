"""Label the missing units of a plan: in this process, or as tasks of a Ray cluster."""

import logging
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np

from sentiment.batch.label import ID_SIZE, Labeler, Result, Settings
from sentiment.batch.plan import Plan
from sentiment.batch.units import Unit
from sentiment.inference.formats import plural
from sentiment.ray_tasks import Lost, Work, cluster, run_tasks

SECONDS_BETWEEN_LINES = 10.0  # of progress
MAX_IDS = 20_000_000  # that are compared to find those that repeat: 160 MB

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
    work = Work(partial(Labeler, settings, marker), folder, settings.device, on.threads if on else 1)
    size_left = size = sum(plan.units[unit.output].size for unit in pending)
    n_done = n_rows = 0
    ids = bytearray()
    start = last_line = time.monotonic()
    with closing(_on_ray(pending, work, on) if on else _here(pending, work)) as finished:
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


def _here(pending: list[Unit], work: Work) -> Generator[tuple[Unit, Result]]:
    labeler = work.load(work.folder)
    for unit in pending:
        yield unit, labeler(unit, lambda n_rows: None)


def _on_ray(pending: list[Unit], work: Work, on: Cluster) -> Generator[tuple[Unit, Result]]:
    with cluster(on.address), closing(run_tasks(work, iter(pending), on.workers)) as finished:
        for unit, result in finished:
            if isinstance(result, Lost):
                result = Result("failed", reason=f"{unit.file.name}: {result.reason}")
            yield unit, result
