"""Counts what was labelled, and remembers which rows were broken."""

import numpy as np

from sentiment.inference.batches import PredictionBatch

MAX_LISTED_ROWS = 100  # broken rows named by number; more are counted


class PredictionSummary:
    """InputBatch so far, by answer; `report` tells them in sentences."""

    def __init__(self) -> None:
        self.rows = self.positive = self.without_text = self.broken = 0
        self._named: dict[str, list[int]] = {}

    def add(self, labelled: PredictionBatch) -> None:
        """Count some rows."""
        rows = labelled.rows
        self.rows += len(rows.texts)
        self.positive += int(labelled.positive.sum())
        self.without_text += int(np.isnan(labelled.probabilities).sum()) - len(rows.flaws)
        for place, reason in rows.flaws.items():
            if self.broken < MAX_LISTED_ROWS:
                self._named.setdefault(reason, []).append(rows.first + place)
            self.broken += 1

    def report(self) -> list[str]:
        """Return the counts, and a line for each way of being broken with the rows that are."""
        negative = self.rows - self.positive - self.without_text - self.broken
        counts = f"{self.rows:,} rows: {self.positive:,} positive, {negative:,} negative"
        if self.without_text:
            counts += f", {self.without_text:,} without text (probability left empty)"
        if not self.broken:
            return [counts]
        lines = [f"{counts}, {self.broken:,} broken (probability left empty)"]
        for reason, numbers in self._named.items():
            many = f"rows {', '.join(map(str, numbers))}, each" if len(numbers) > 1 else f"row {numbers[0]}"
            lines.append(f"{many} {reason}")
        if self.broken > MAX_LISTED_ROWS:
            lines.append(f"and {self.broken - MAX_LISTED_ROWS:,} more broken rows")
        return lines
