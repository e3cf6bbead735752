"""A Plan in; how much is missing, and how long it would take by a measured sample, out."""

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

from sentiment.batch.content import read_unit
from sentiment.batch.labeling import Labeler
from sentiment.batch.plan import Plan
from sentiment.batch.settings import Settings
from sentiment.batch.work import limit_threads
from sentiment.common.errors import InputError
from sentiment.inference.formats import plural
from sentiment.inference.readers import InputColumns

ROWS = 1_000  # of the sample: seconds with a small encoder
WARM_UP_ROWS = 64
UNITS = 20  # tried until one has a row


def estimate(plan: Plan, settings: Settings, folder: Path, workers: int) -> Iterator[str]:
    """Yield lines about the units that are missing; a sample of their rows is labeled in this process.

    Raises:
        ClassifierError: it is missing or damaged.
    """
    outcomes, rows = plan.outcomes(), plan.total("rows", "pending")
    yield (
        f"{plural(outcomes['pending'], 'unit')} to label, {outcomes['kept']:,} there already, "
        f"{outcomes['failed']:,} that cannot be read"
    )
    if not outcomes["pending"]:
        return
    yield f"{plural(rows, 'row')} (of files too small to be cut: an estimate), {plan.total('size', 'pending'):,} bytes"
    limit_threads(settings.threads)
    labeler = Labeler(settings, folder)
    texts = _sample(plan, settings, labeler)
    if not texts:
        yield f"no row in the first {UNITS} units to measure a time with"
        return
    labeler.classifier.predict_proba(texts[:WARM_UP_ROWS])
    start = time.perf_counter()
    labeler.classifier.predict_proba(texts)
    rate = len(texts) / (time.perf_counter() - start) * workers
    duration = timedelta(seconds=max(1, round(rows / rate)))
    yield f"about {duration} at {rate:,.0f} rows/s: {plural(len(texts), 'row')} measured here, times {workers} workers"


def _sample(plan: Plan, settings: Settings, labeler: Labeler) -> list[str]:
    """Return at most `ROWS` texts of a pending unit."""
    columns = InputColumns(settings.text_columns)
    for unit in islice(plan.pending(), UNITS):
        texts: list[str] = []
        try:
            with read_unit(unit, labeler.inputs, columns) as table:
                for batch in table.batches:
                    texts += batch.texts
                    if len(texts) >= ROWS:
                        break
        except InputError:
            continue  # the run itself will name it
        if texts:
            return texts[:ROWS]
    return []
