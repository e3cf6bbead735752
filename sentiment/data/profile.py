"""Look at the columns of a file of reviews, in bounded memory: what `sentiment init` proposes from.

found = profile(Path("reviews.csv"), layout)
found.columns["stars"].values.most_common(5)
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sentiment.common.errors import InputError
from sentiment.data.readers import FILE, FileFormat, InputColumns, Source, as_string, read_source
from sentiment.data.values import is_no_rating, is_time, read_rating, scale_end

MAX_DISTINCT = 1_000  # values that are counted one by one
ALL_ROWS = 100_000  # of which every value is looked at; of the rows after them, those of each tenth batch
EACH = 10
MAX_EXAMPLE = 40  # characters
N_TEXTS = 500  # that are kept, to tell the language
N_DATES = 20  # values that tell a column of dates
MAX_DATES = 100_000  # that are kept, evenly over the rows
TIME_NAME = re.compile(r"time|date", re.IGNORECASE)  # of a column whose numbers may be seconds since 1970
DATE_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d", "%m %d, %Y", "%B %d, %Y", "%Y%m%d")


@dataclass
class Column:
    """What the values of a column are like; numbers are of the rows looked at.

    Attributes:
        n_rows: rows looked at.
        n_filled: of them with a value that is not blank.
        n_words: in all values.
        values: how often each occurs, of the first `MAX_DISTINCT`.
        has_many: whether there are more than those.
        texts: the first ones.
        dates: of a column that may have dates: of its values, each, or each second, fourth, ... where there are many.
        is_time_column: whether a person says that it has dates.
    """

    name: str
    n_rows: int = 0
    n_filled: int = 0
    n_words: int = 0
    has_many: bool = False
    values: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    is_time_column: bool = False
    _step: int = 1

    def add(self, values: Sequence[str]) -> None:
        """Look at more values."""
        self.n_rows += len(values)
        for raw in values:
            if not (value := raw.strip()):
                continue
            self.n_filled += 1
            self.n_words += value.count(" ") + 1
            if len(self.texts) < N_TEXTS:
                self.texts.append(value)
            if value in self.values or len(self.values) < MAX_DISTINCT:
                self.values[value] += 1
            else:
                self.has_many = True
        if self._may_be_dates:
            self.dates += [value for raw in values if (value := raw.strip())][:: self._step]
            if len(self.dates) > MAX_DATES:
                self.dates, self._step = self.dates[::2], 2 * self._step

    @property
    def _may_be_dates(self) -> bool:
        if self.is_time_column or self.is_date:
            return True
        return bool(TIME_NAME.search(self.name)) and all(map(is_time, self.texts[:N_DATES]))

    @property
    def numbers(self) -> dict[str, float]:
        """The counted values that are numbers or ratings in words."""
        read = {value: read_rating(value) for value in self.values if len(value) < MAX_EXAMPLE}
        return {value: number for value, number in read.items() if not math.isnan(number)}

    @property
    def out_of(self) -> float | None:
        """The end of the scale that ratings such as "4 out of 5" name; None where none does."""
        return max(filter(None, map(scale_end, self.numbers)), default=None)

    @property
    def n_without(self) -> int:
        """How many of the counted values say that there is no rating."""
        return sum(count for value, count in self.values.items() if is_no_rating(value))

    @property
    def number_share(self) -> float:
        """The share of the counted values that are numbers, of those that do not say that there is none."""
        return sum(self.values[value] for value in self.numbers) / max(1, self.values.total() - self.n_without)

    @property
    def is_date(self) -> bool:
        """Whether nearly all of the first values are dates."""
        first = self.texts[:N_DATES]
        return sum(map(looks_like_date, first)) >= 0.9 * len(first) > 0

    @property
    def is_nested(self) -> bool:
        """Whether the first values are objects, with fields of their own."""
        return bool(self.texts) and all(value.startswith("{") and value.endswith("}") for value in self.texts)

    @property
    def words(self) -> float:
        """Words of a value, on average."""
        return self.n_words / max(1, self.n_filled)

    @property
    def filled(self) -> float:
        """The share of rows with a value."""
        return self.n_filled / max(1, self.n_rows)

    @property
    def distinct(self) -> float:
        """Different values by values, of those that are counted."""
        return 1.0 if self.has_many else len(self.values) / max(1, self.n_filled)

    @property
    def examples(self) -> str:
        """The values for a table: the most frequent ones where there are few, else the first."""
        few = not self.has_many and len(self.values) <= max(20, 0.1 * self.n_filled)
        shown = [f"{value} ({count:,})" for value, count in self.values.most_common(4)] if few else self.texts[:2]
        lines = [" ".join(one.split()) for one in shown]
        return " · ".join(one if len(one) <= MAX_EXAMPLE else f"{one[: MAX_EXAMPLE - 1]}…" for one in lines)


@dataclass
class Profile:
    """Columns of a file, or of several files.

    Attributes:
        columns: by name, in the order of the file.
        n_rows: of all rows.
        problems: the first broken rows, as "reviews.csv: row 3 has ...".
        missing: the first file that lacks a column, by the name of the column, which another file has.
    """

    columns: dict[str, Column]
    n_rows: int = 0
    problems: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def profile(
    source: Source,
    layout: FileFormat,
    on_rows: Callable[[int], object] = lambda n_rows: None,
    time_column: str | None = None,
) -> Profile:
    """Read all rows, and look at the values of the first `ALL_ROWS` and of a tenth of the others.

    Args:
        source: the file, folder or files.
        layout: how it is written.
        on_rows: called with the number of rows of each batch.
        time_column: one that a person says has dates.

    Raises:
        InputError: it cannot be read by `layout`, or a file has no column of the first one.
    """
    found = Profile({})
    names_of: dict[str, set[str]] = {}  # the columns of each file
    columns = InputColumns((), kept=None, with_ids=False)
    for number, (name, batch) in enumerate(read_source(source, columns, layout)):
        found.n_rows += len(batch.texts)
        on_rows(len(batch.texts))
        names_of.setdefault(name, set()).update(batch.passthrough)
        found.problems += batch.problems(name)
        del found.problems[5:]
        if found.n_rows > ALL_ROWS and number % EACH:
            continue
        for column, cells in batch.passthrough.items():
            looked_at = found.columns.setdefault(column, Column(column, is_time_column=column == time_column))
            looked_at.add([as_string(cell) for cell in cells])
    first = next(iter(names_of), "")
    for name, names in names_of.items():
        if name != first and not names & names_of[first] - {FILE}:
            raise InputError(f"{name}: has no column of {first}; files that are read together have the same columns")
        found.missing = {**dict.fromkeys(found.columns.keys() - names, name), **found.missing}
    found.columns = {name: column for name, column in found.columns.items() if name not in found.missing}
    return found


def looks_like_date(value: str) -> bool:
    """Return whether a value is a date, with or without a time."""
    if value.isdecimal() and len(value) != 8:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        pass
    else:
        return True
    day = value.split("T")[0].split(" ")[0]
    return any(_parses(one, layout) for layout in DATE_FORMATS for one in (day, value))


def _parses(value: str, layout: str) -> bool:
    try:
        datetime.strptime(value, layout)
    except ValueError:
        return False
    return True
