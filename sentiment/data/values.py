"""Read ratings, labels and dates as people write them; a date is an instant, with UTC where no zone is named."""

import math
import re
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta

import pandas as pd

from sentiment.common.errors import InputError
from sentiment.data.text import format_rating

MISSING_ADVICE = "prepare.on_missing_label=drop leaves such rows out"

# "4", "4.5", "4,5", "4.0 out of 5 stars", "4/5", "5 stars", "80%"
WRITTEN_RATING = re.compile(
    r"\s*(-?\d+(?:[.,]\d+)?)\s*(?:(?:/|out of|of|von|sur|de)\s*(\d+(?:[.,]\d+)?))?\s*"
    r"(?:stars?|stern(?:en?)?|étoiles?|estrellas?|estrelas?|stell[ae]|points?|punkt(?:en?)?|★+|(%))?\s*",
    re.IGNORECASE,
)
NO_RATING = frozenset(("", "null", "nan", "none", "na", "n/a", "<na>"))  # in lower case
DRAWN_RATING = re.compile(r"\s*((?:[★⭐]\ufe0f?)+)(☆*)\s*")  # "★★★★☆", "⭐⭐⭐"


def read_rating(written: str) -> float:
    """Return the number in a rating as people write it; NaN where there is none.

    >>> read_rating("4.0 out of 5 stars"), read_rating("4/5"), read_rating("4,5"), read_rating("good")
    (4.0, 4.0, 4.5, nan)
    >>> read_rating("★★★★☆"), read_rating("80%"), read_rating("1 Stern")
    (4.0, 80.0, 1.0)
    """
    if match := WRITTEN_RATING.fullmatch(written):
        return _number(match[1])
    drawn = DRAWN_RATING.fullmatch(written)
    return float(len(drawn[1].replace("\ufe0f", ""))) if drawn else math.nan


def is_no_rating(written: str) -> bool:
    """Return whether a field of ratings is blank, or says that there is none.

    >>> is_no_rating(" "), is_no_rating("NULL"), is_no_rating("0")
    (True, True, False)
    """
    return written.strip().casefold() in NO_RATING


def scale_end(written: str) -> float | None:
    """Return the end of the scale that a rating names; None where it names none.

    >>> scale_end("4.0 out of 5 stars"), scale_end("4/10"), scale_end("4,5")
    (5.0, 10.0, None)
    >>> scale_end("★★★★☆"), scale_end("80%")
    (5.0, 100.0)
    """
    if match := WRITTEN_RATING.fullmatch(written):
        return _number(match[2]) if match[2] else 100.0 if match[3] else None
    drawn = DRAWN_RATING.fullmatch(written)
    return read_rating(drawn[1]) + len(drawn[2]) if drawn and drawn[2] else None


def _number(digits: str) -> float:
    return float(digits.replace(",", "."))


def label_key(value: object) -> str:
    """Return what a label is compared by: words without regard to case, 1.0 as "1", True as "true".

    >>> label_key(" Positive"), label_key("1.0"), label_key(True)
    ('positive', '1', 'true')
    """
    text = str(value).strip().casefold()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def parse_ratings(
    source: str, raw: "pd.Series[str]", lowest: float, highest: float, dropped: Collection[float] = ()
) -> "pd.Series[float]":
    """Return the ratings as float64. # (n_rows,)

    Args:
        source: the file's name, for the message.
        raw: ratings as written, indexed by row number.
        dropped: ratings that may be outside the scale.

    Raises:
        InputError: names the first row whose rating is not a number from `lowest` to `highest`, or is of another scale.
    """
    ratings = pd.to_numeric(raw, errors="coerce").astype(float)
    unread = ratings.isna()
    ratings[unread] = raw[unread].map(read_rating)
    wrong = ~(ratings.between(lowest, highest) | ratings.isin(dropped))  # NaN is in no interval
    wrong[unread] |= raw[unread].map(lambda rating: scale_end(rating) not in (None, highest)).astype(bool)
    if wrong.any():
        row = raw.index[int(wrong.to_numpy().argmax())]
        raise InputError(
            f"{source}: row {row}, column '{raw.name}': found {raw.loc[row]!r}, "
            f"expected a number from {format_rating(lowest)} to {format_rating(highest)}"
            + (f"; {MISSING_ADVICE}" if is_no_rating(raw.loc[row]) else "")
        )
    return ratings


MAX_UNKNOWN = 1_000  # different values, after which a column is no column of labels or splits
MAX_SHOWN = 10


def shown_counts(unknown: Counter[str]) -> str:
    """Return values with the number of their rows, the most frequent ones first, for a message."""
    shown = ", ".join(f"{value!r} ({count:,} rows)" for value, count in unknown.most_common(MAX_SHOWN))
    return f"{shown} and {len(unknown) - MAX_SHOWN:,} others" if len(unknown) > MAX_SHOWN else shown


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_DIGITS, MILLISECONDS_DIGITS = (9, 10), (12, 13)  # digits of a number since 1970, from 1973 and to 2286
EXPECTED_DATE = "an ISO date or date-time, seconds since 1970, or a date by split.time_format"
_PARTS = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:(?:T|,? +)(\S+))?")


def read_time(value: str, layout: str | None = None) -> datetime:
    """Return a date or date-time as an instant; a date is its midnight, and what names no zone is in UTC.

    Without `layout`, the value is ISO 8601, as in 2024-01-31 or 2024-01-31T12:30:00+01:00, year first or with dots
    (2024/1/31, 31.1.2024), in slashes where only one order of day and month is possible (01/31/2024), or a whole number
    of seconds or milliseconds since 1970.

    Args:
        value: without blanks at its ends.
        layout: of `datetime.strptime`; empty for the forms above.

    Raises:
        ValueError: says what is expected.

    >>> read_time("31.1.2024"), read_time("1706659200") == read_time("2024-01-31")
    (datetime.datetime(2024, 1, 31, 0, 0, tzinfo=datetime.timezone.utc), True)
    """
    if layout:
        try:
            found = datetime.strptime(value, layout)
        except (ValueError, re.error):  # of a layout that names a part twice
            raise ValueError(f"a date by split.time_format {layout!r}") from None
    else:
        found = _read_known_form(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def is_time(value: str, layout: str | None = None) -> bool:
    """Return whether `read_time` reads a value."""
    try:
        read_time(value, layout)
    except (ValueError, OverflowError):
        return False
    return True


def _read_known_form(value: str) -> datetime:
    number = value.removesuffix(".0")
    if number.isascii() and number.isdecimal() and len(number) in SECONDS_DIGITS:
        return EPOCH + timedelta(seconds=int(number))
    if number.isascii() and number.isdecimal() and len(number) in MILLISECONDS_DIGITS:
        return EPOCH + timedelta(milliseconds=int(number))
    try:
        return datetime.fromisoformat(value.removesuffix(" UTC"))
    except ValueError:
        pass
    if not (parts := _PARTS.fullmatch(value)):
        raise ValueError(EXPECTED_DATE)
    first, separator, second, last, clock = parts.groups()
    try:
        year, month, day = _year_month_day(first, separator, second, last)
        return datetime.combine(datetime(year, month, day), time.fromisoformat(clock or "00:00"))
    except _AmbiguousError as error:
        raise ValueError(str(error)) from None
    except ValueError:
        raise ValueError(EXPECTED_DATE) from None


class _AmbiguousError(ValueError):
    """A date may be two days."""


def _year_month_day(first: str, separator: str, second: str, last: str) -> tuple[int, int, int]:
    """Return year, month and day."""
    if len(first) == 4 and len(last) <= 2:
        return int(first), int(second), int(last)
    if len(last) != 4 or len(first) > 2:
        raise ValueError
    one, two, year = int(first), int(second), int(last)
    if separator == "." or one == two or one > 12:
        return year, two, one
    if two > 12:
        return year, one, two
    layouts = [f"'{separator.join(parts)}'" for parts in (("%m", "%d", "%Y"), ("%d", "%m", "%Y"))]
    raise _AmbiguousError(f"a date that is one day only; say by split.time_format whether it is {' or '.join(layouts)}")
