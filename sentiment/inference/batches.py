"""InputBatch on their way from a source to a sink, some thousands at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

MAX_ROWS = 8_192  # held at once: enough to sort by length, few enough for memory
FIRST_ROWS = 64

Item = TypeVar("Item")


@dataclass(frozen=True)
class InputBatch:
    """Some rows of the input, in its order.

    Attributes:
        first: the number of the first row; the input's first row is 1.
        ids: of each row.
        texts: of each row; "" where it has none.
        flaws: what is wrong with a row, by its place in `texts`; such a row's text is "".
        kept: the input's columns to pass on, by name.
    """

    first: int
    ids: Sequence[Any]
    texts: Sequence[str]
    flaws: dict[int, str] = field(default_factory=dict)
    kept: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """What is read: its name, the Arrow types of id and kept columns by name, and its rows."""

    name: str
    columns: dict[str, Any]
    rows: Iterator[InputBatch]


@dataclass(frozen=True)
class PredictionBatch:
    """InputBatch with their answers: probabilities of shape (rows,), NaN where there is no text."""

    rows: InputBatch
    probabilities: NDArray[np.float32]
    positive: NDArray[np.bool_]

    def table(self) -> dict[str, Sequence[Any]]:
        """Return the output's columns; probability and sentiment are None where there is no text."""
        found = ~np.isnan(self.probabilities)
        answers = zip(self.probabilities.tolist(), self.positive, found, strict=True)
        pairs = [(round(p, 6), "positive" if up else "negative") if ok else (None, None) for p, up, ok in answers]
        return {
            "id": self.rows.ids,
            "probability": [probability for probability, _ in pairs],
            "sentiment": [sentiment for _, sentiment in pairs],
            **self.rows.kept,
        }


def windows(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items in lists: short ones first, so that answers come soon, then of `MAX_ROWS`."""
    iterator, size = iter(items), FIRST_ROWS
    while window := list(islice(iterator, size)):
        yield window
        size = min(MAX_ROWS, size * 4)
