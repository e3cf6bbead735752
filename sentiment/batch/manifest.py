"""A Plan in; `_manifest.json` and `_errors.jsonl` beside the outputs, out."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from sentiment.batch.metadata import Counts
from sentiment.batch.plan import Plan
from sentiment.batch.settings import Settings
from sentiment.batch.storage import Storage
from sentiment.batch.units import Shard

MANIFEST, ERRORS = "_manifest{}.json", "_errors{}.jsonl"


def write_manifest(plan: Plan, storage: Storage, settings: Settings, shard: Shard) -> Counts:
    """Write the manifest and the file of errors, and return the counts of all rows.

    Units are written one by one to a temporary file, so memory does not grow with their number. Where no unit has
    failed, a file of errors that an earlier run wrote is removed.

    Raises:
        OutputError: they cannot be written.
    """
    errors = f"{settings.outputs}/{ERRORS.format(shard.suffix)}"
    with tempfile.TemporaryDirectory(prefix="sentiment-batch-") as folder:
        path = Path(folder) / "file"
        if plan.outcomes()["failed"]:
            with path.open("w", encoding="utf-8") as file:
                for record in plan.records("failed"):
                    chosen = {"output": record["output"], "input": record["input"], "reason": record["reason"]}
                    file.write(json.dumps(chosen, ensure_ascii=False) + "\n")
            storage.put_file(errors, path)
        else:
            storage.delete(errors)
        totals: Counter[str] = Counter()
        with path.open("w", encoding="utf-8") as file:
            file.writelines(_lines(plan, settings, totals))
        storage.put_file(f"{settings.outputs}/{MANIFEST.format(shard.suffix)}", path)
    return Counts(**{name: totals[name] for name in asdict(Counts())})


def _lines(plan: Plan, settings: Settings, totals: "Counter[str]") -> Iterator[str]:
    """Yield the manifest, a unit per line; the totals, added up meanwhile, come last."""
    yield f'{{"classifier": "{settings.fingerprint}",\n"units": [\n'
    separator = ""
    for record in plan.records():
        yield separator + json.dumps(record, ensure_ascii=False)
        separator = ",\n"
        totals.update({name: record.get(name, 0) for name in asdict(Counts())})
    outcomes = {name: plan.outcomes()[name] for name in ("kept", "written", "failed", "pending")}
    yield f'\n],\n"outcomes": {json.dumps(outcomes)},\n"counts": {json.dumps(dict(totals))}}}\n'
