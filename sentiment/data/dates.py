"""Read dates and times as files of reviews have them: as instants, with UTC where none is named."""

import re
from datetime import UTC, datetime, time, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS, MILLISECONDS = (9, 10), (12, 13)  # digits of a number since 1970, from 1973 and to 2286
EXPECTED = "an ISO date or date-time, seconds since 1970, or a date by split.time_format"
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
        except ValueError:
            raise ValueError(f"a date by split.time_format {layout!r}") from None
    else:
        found = _read_known_form(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _read_known_form(value: str) -> datetime:
    number = value.removesuffix(".0")
    if number.isascii() and number.isdecimal() and len(number) in SECONDS:
        return EPOCH + timedelta(seconds=int(number))
    if number.isascii() and number.isdecimal() and len(number) in MILLISECONDS:
        return EPOCH + timedelta(milliseconds=int(number))
    try:
        return datetime.fromisoformat(value.removesuffix(" UTC"))
    except ValueError:
        pass
    if not (parts := _PARTS.fullmatch(value)):
        raise ValueError(EXPECTED)
    first, separator, second, last, clock = parts.groups()
    try:
        year, month, day = _order(first, separator, second, last)
        return datetime.combine(datetime(year, month, day), time.fromisoformat(clock or "00:00"))
    except _AmbiguousError as error:
        raise ValueError(str(error)) from None
    except ValueError:
        raise ValueError(EXPECTED) from None


class _AmbiguousError(ValueError):
    """A date may be two days."""


def _order(first: str, separator: str, second: str, last: str) -> tuple[int, int, int]:
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
