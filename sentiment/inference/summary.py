"""PredictionSummary: counts of labeled rows, and the numbers of the broken ones."""

from collections import Counter

from sentiment.inference.batches import PredictionBatch

MAX_LISTED_ROWS = 100  # broken rows listed by number; more are only counted


class PredictionSummary:
    """Counts of the rows so far, by label; `report` formats them.

    Args:
        labels: names of the labels, in the order in which they are reported.
    """

    def __init__(self, labels: tuple[str, ...] = ()) -> None:
        self.labels = labels
        self.counts: Counter[str] = Counter()
        self.rows = self.without_text = self.broken = 0
        self._rows_by_reason: dict[str, list[int]] = {}

    def add(self, predictions: PredictionBatch) -> None:
        """Count the rows of a batch."""
        inputs = predictions.inputs
        self.rows += len(inputs.texts)
        self.counts.update(label for label in predictions.labels if label is not None)
        self.without_text += sum(label is None for label in predictions.labels) - len(inputs.errors)
        for index, reason in inputs.errors.items():
            if self.broken < MAX_LISTED_ROWS:
                self._rows_by_reason.setdefault(reason, []).append(inputs.first + index)
            self.broken += 1

    def report(self) -> list[str]:
        """Return a line of counts, and one line per kind of error with the numbers of its rows."""
        by_label = ", ".join(f"{self.counts[label]:,} {label}" for label in reversed(self.labels))
        line = f"{plural(self.rows, 'row')}: {by_label}"
        if self.without_text:
            line += f", {self.without_text:,} without text (probability left empty)"
        if not self.broken:
            return [line]
        lines = [f"{line}, {self.broken:,} broken (probability left empty)"]
        for reason, numbers in self._rows_by_reason.items():
            rows = f"rows {', '.join(map(str, numbers))}, each" if len(numbers) > 1 else f"row {numbers[0]}"
            lines.append(f"{rows} {reason}")
        if self.broken > MAX_LISTED_ROWS:
            lines.append(f"and {plural(self.broken - MAX_LISTED_ROWS, 'more broken row')}")
        return lines


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: "1 row", "2,000 rows"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
