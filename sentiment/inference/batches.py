"""The rows that go through `sentiment predict`: InputBatch in, PredictionBatch out, thousands of rows at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sentiment.inference.explanation import Explanation

MAX_ROWS = 8_192  # of a batch: enough to sort by length, few enough for memory
FIRST_ROWS = 64  # of the first batch, so that the first labels come soon
GROWTH = 4  # how much larger than the one before a batch may be

Item = TypeVar("Item")


@dataclass(frozen=True)
class InputBatch:
    """Some rows of the input, in its order.

    Attributes:
        first: number of the first row; the input's first row is 1.
        ids: one per row.
        texts: one per row; "" where a row has none.
        errors: what is wrong with a row, by its index in `texts`; the text of such a row is "".
        passthrough: the input's columns to write to the output, by name.
    """

    first: int
    ids: Sequence[Any]
    texts: Sequence[str]
    errors: dict[int, str] = field(default_factory=dict)
    passthrough: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def parts(self, n_rows: int) -> Iterator["InputBatch"]:
        """Yield the rows in batches of at most `n_rows`."""
        for start in range(0, len(self.texts), n_rows):
            rows = slice(start, start + n_rows)
            yield InputBatch(
                self.first + start,
                self.ids[rows],
                self.texts[rows],
                {index - start: error for index, error in self.errors.items() if start <= index < start + n_rows},
                {name: values[rows] for name, values in self.passthrough.items()},
            )


@dataclass(frozen=True)
class InputTable:
    """An input that is read batch by batch.

    Attributes:
        name: of the file, for messages.
        types: Arrow types of the id and of the passthrough columns, by name.
        batches: the rows, in order.
    """

    name: str
    types: dict[str, Any]
    batches: Iterator[InputBatch]


@dataclass(frozen=True)
class PredictionBatch:
    """An InputBatch with its predictions.

    Attributes:
        probabilities: of "positive", shape (n_rows,); NaN where there is no text.
        labels: the label of each row; None where there is no text.
        explanations: one per row, None where there is no text; or None where none were asked for.
    """

    inputs: InputBatch
    probabilities: NDArray[np.float32]
    labels: Sequence[str | None]
    explanations: "Sequence[Explanation | None] | None" = None

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return the output's columns; probability (6 decimals) and sentiment are None where there is no text."""
        probabilities = self.probabilities.tolist()
        columns = {
            "id": self.inputs.ids,
            "probability": [None if np.isnan(p) else round(p, 6) for p in probabilities],
            "sentiment": self.labels,
            **self.inputs.passthrough,
        }
        if self.explanations is not None:
            from sentiment.inference.explained_text import as_mapping

            texts = zip(self.inputs.texts, self.explanations, strict=True)
            columns["explanation"] = [one and as_mapping(text, one) for text, one in texts]
        return columns


def growing_batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items in lists of `FIRST_ROWS`, then `GROWTH` times as many as before, up to `MAX_ROWS`."""
    iterator, size = iter(items), FIRST_ROWS
    while batch := list(islice(iterator, size)):
        yield batch
        size = min(MAX_ROWS, size * GROWTH)
