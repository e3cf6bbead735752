"""Dates as files have them: one instant in many forms; what may be two days is refused."""

from datetime import UTC, datetime

import pytest

from sentiment.data.values import read_time

DAY = datetime(2024, 1, 31, tzinfo=UTC)
HALF_PAST_NOON = datetime(2024, 1, 31, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    ["2024-01-31", "20240131", "2024/1/31", "31.1.2024", "31.01.2024", "01/31/2024", "1/31/2024", "31/01/2024",
     "31-01-2024", "2024-01-31 00:00:00", "1706659200", "1706659200.0", "1706659200000"],
)  # fmt: skip
def test_a_day_in_many_forms(value: str) -> None:
    assert read_time(value) == DAY


@pytest.mark.parametrize(
    "value",
    ["2024-01-31T12:30", "2024-01-31 12:30:00 UTC", "2024-01-31T13:30:00+01:00", "2024-01-31T12:30:00Z",
     "01/31/2024 12:30", "31.1.2024, 12:30:00", "1706704200"],
)  # fmt: skip
def test_a_time_in_many_forms(value: str) -> None:
    assert read_time(value) == HALF_PAST_NOON


def test_a_day_and_month_that_are_equal_are_one_day() -> None:
    assert read_time("03/03/2024") == datetime(2024, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize("value", ["01/02/2024", "1-2-2024"])
def test_a_date_that_may_be_two_days_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"one day only; say by split\.time_format whether it is '%m.%d.%Y' or '%d.%m"):
        read_time(value)


@pytest.mark.parametrize(
    "value", ["", "soon", "2024", "2024-13-01", "31.2.2024", "13/13/2024", "1/31/24", "5", "²024-01-31", "1e9"]
)
def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="an ISO date or date-time"):
        read_time(value)


def test_a_format_decides() -> None:
    assert read_time("01/02/2024", "%d/%m/%Y") == datetime(2024, 2, 1, tzinfo=UTC)
    assert read_time("09 1, 2018", "%m %d, %Y") == datetime(2018, 9, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="'%d/%m/%Y'"):
        read_time("2024-02-01", "%d/%m/%Y")
    with pytest.raises(ValueError, match="'%m/%m/%Y'"):
        read_time("01/01/2024", "%m/%m/%Y")
