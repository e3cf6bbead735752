"""Plan: the units of a run and what came of them, in a temporary SQLite file.

Memory does not grow with the number of units.
"""

import json
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from sentiment.batch.metadata import Counts
from sentiment.batch.units import UNKNOWN, Unit

BYTES_PER_ROW = 300  # of reviews; for the rows of files that are too small to be counted beforehand

Outcome = Literal["pending", "kept", "written", "failed"]


class Plan:
    """Units by the name of their output; see `open_plan`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._rows = connection
        self._outcomes: Counter[str] = Counter()
        self._rows.execute(
            "CREATE TABLE units (output TEXT PRIMARY KEY, input TEXT, size INT, unit TEXT, outcome TEXT, reason TEXT,"
            " rows INT, counts TEXT, position INT) WITHOUT ROWID"
        )
        self._rows.execute("CREATE INDEX by_position ON units (outcome, position, output)")

    def add(self, unit: Unit, size: int, existing: Counts | None) -> None:
        """Add a unit, `existing` where its output is there already.

        Args:
            unit: to add.
            size: bytes of its input.
            existing: counts of the output that is there, or None.
        """
        if existing is not None:
            rows, outcome = existing.rows, "kept"
        else:
            rows, outcome = (size // BYTES_PER_ROW + 1 if unit.part.rows == UNKNOWN else unit.part.rows), "pending"
        values = (unit.output, unit.path, size, json.dumps(unit.as_mapping()), outcome, rows, _dumps(existing))
        self._rows.execute("INSERT INTO units VALUES (?, ?, ?, ?, ?, '', ?, ?, abs(random()))", values)
        self._outcomes[outcome] += 1

    def add_failed(self, path: str, size: int, reason: str) -> None:
        """Add an input that could not even be cut into units."""
        self._rows.execute(
            "INSERT INTO units VALUES (?, ?, ?, NULL, 'failed', ?, 0, NULL, 0)", (path, path, size, reason)
        )
        self._outcomes["failed"] += 1

    def pending(self) -> Iterator[Unit]:
        """Yield the units to label, in random order: two runs on the same outputs meet seldom at the same unit."""
        last = (-1, "")
        while row := self._rows.execute(
            "SELECT position, output, unit FROM units WHERE outcome = 'pending' AND (position, output) > (?, ?)"
            " ORDER BY position, output LIMIT 1", last,
        ).fetchone():  # fmt: skip
            last = (row[0], row[1])
            yield Unit.from_mapping(json.loads(row[2]))

    def finish(self, output: str, outcome: Outcome, counts: Counts, reason: str = "") -> None:
        """Note what came of a pending unit."""
        self._rows.execute(
            "UPDATE units SET outcome = ?, reason = ?, rows = ?, counts = ? WHERE output = ?",
            (outcome, reason, counts.rows, _dumps(counts), output),
        )
        self._outcomes["pending"] -= 1
        self._outcomes[outcome] += 1

    def outcomes(self) -> Counter[str]:
        """Return the number of units by outcome."""
        return self._outcomes.copy()

    def total(self, column: Literal["rows", "size"], outcome: Outcome) -> int:
        """Return the sum of rows or bytes of the units with an outcome; rows of small files are an estimate."""
        query = f"SELECT coalesce(sum({column}), 0) FROM units WHERE outcome = ?"  # noqa: S608 - one of two names
        return int(self._rows.execute(query, (outcome,)).fetchone()[0])

    def records(self, outcome: Outcome | None = None) -> Iterator[dict[str, Any]]:
        """Yield what is known of each unit, by the name of its output."""
        query = "SELECT output, input, outcome, reason, counts FROM units WHERE ? IN (outcome, '') ORDER BY output"
        for output, path, found, reason, counts in self._rows.execute(query, (outcome or "",)):
            record = {"output": output, "input": path, "outcome": found}
            yield record | ({"reason": reason} if reason else {}) | (json.loads(counts) if counts else {})


def _dumps(counts: Counts | None) -> str | None:
    return None if counts is None else json.dumps(asdict(counts))


@contextmanager
def open_plan() -> Iterator[Plan]:
    """Yield an empty plan in a temporary folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="sentiment-batch-") as folder:
        connection = sqlite3.connect(Path(folder) / "plan.sqlite", isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            yield Plan(connection)
        finally:
            connection.close()
