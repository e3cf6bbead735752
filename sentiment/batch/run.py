"""Plan, engine and storage in; every unit labeled and the manifest written, out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from sentiment.batch.dispatch import Pool, dispatch
from sentiment.batch.errors import RunError
from sentiment.batch.manifest import write_manifest
from sentiment.batch.metadata import Counts, OutputMetadata
from sentiment.batch.plan import Plan
from sentiment.batch.settings import Settings
from sentiment.batch.storage import LocalStorage, Storage
from sentiment.batch.units import Shard, Unit


@dataclass(frozen=True)
class Result:
    """What a run did: units by outcome, and the counts of all rows, those of outputs that were there included."""

    kept: int
    written: int
    failed: int
    counts: Counts


def run_plan(plan: Plan, pool: Pool, target: Storage, settings: Settings, shard: Shard) -> Result:
    """Label the pending units of a plan, and write the manifest.

    Raises:
        OutputError: the manifest cannot be written.
        RunError: an output cannot be written, the classifier not be loaded, the storage does not answer, or workers die
            before they have labeled anything. The outputs that are written stay; the next run makes the others.
    """
    total = plan.total("rows", "pending")
    with tqdm(desc="batch", total=total, unit=" rows", disable=None) as bar:
        shown = _Shown(bar, plan)
        for progress in dispatch(pool, _missing(plan, target, settings, shown.update)):
            shown.rows(progress.rows)
            if (reply := progress.reply) is None:
                continue
            if reply.outcome == "fatal":
                raise RunError(reply.reason)
            plan.finish(progress.unit.output, reply.outcome, reply.counts, reply.reason)
            shown.update()
        bar.total = bar.n  # rows of small files were an estimate
    counts = write_manifest(plan, target, settings, shard)
    if isinstance(target, LocalStorage):
        target.remove_leftovers()
    outcomes = plan.outcomes()
    return Result(outcomes["kept"], outcomes["written"], outcomes["failed"], counts)


def _missing(plan: Plan, target: Storage, settings: Settings, on_kept: Callable[[], object]) -> Iterator[Unit]:
    """Yield the pending units that are still missing: another run on the same outputs may have made some meanwhile."""
    for unit in plan.pending():
        found = OutputMetadata.read(target, f"{settings.outputs}/{unit.output}")
        if found and found.is_of(unit, settings.fingerprint):
            plan.finish(unit.output, "kept", found.counts)
            on_kept()
        else:
            yield unit


class _Shown:
    """The bar over rows, with the number of units done, failed and left."""

    def __init__(self, bar: "tqdm[Any]", plan: Plan) -> None:
        self._bar = bar
        self._plan = plan

    def rows(self, rows: int) -> None:
        """Count rows; a negative number takes back those of a worker that died."""
        if rows:
            self._bar.update(rows)

    def update(self) -> None:
        """Show the outcomes of units."""
        if not self._bar.disable:
            outcomes = self._plan.outcomes()
            done = outcomes["kept"] + outcomes["written"]
            self._bar.set_postfix_str(
                f"units: {done:,} done, {outcomes['failed']:,} failed, {outcomes['pending']:,} left", refresh=False
            )
