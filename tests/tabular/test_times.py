"""Which notation the times of a column are in, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.values import NEWEST_S, OLDEST_S
from tabular import TimeColumn

MOMENT = datetime(2023, 11, 14, 22, 13, tzinfo=UTC)
S = int(MOMENT.timestamp())


def read(values: Sequence[Any], day_first: bool | None = None) -> tuple[list[float], str]:
    column = TimeColumn(day_first)
    raw = [column.raw(value, f"line {line}") for line, value in enumerate(values, start=2)]
    return column.seconds(np.array(raw, dtype=np.float64)).tolist(), column.described()


NOTATIONS = [
    ([str(S)], "seconds since 1970"),
    ([f"{S}.0"], "seconds since 1970"),
    ([f"{S}000"], "milliseconds since 1970"),
    ([f"{S}000000"], "microseconds since 1970"),
    ([f"{S}000000000"], "nanoseconds since 1970"),
    (["2023-11-14 22:13"], "ISO 8601"),
    (["2023-11-14T22:13:00Z"], "ISO 8601"),
    (["2023-11-14T23:13+01:00"], "ISO 8601"),
    (["2023-11-14 22:13:00.000000 UTC"], "ISO 8601"),
    (["2023/11/14 22:13"], "ISO 8601"),
    ([MOMENT, MOMENT.replace(tzinfo=None)], "ISO 8601"),
    (["2023-11-14 10:13 PM", "2023-11-14T22:13 Z", "2023/11/14, 22:13"], "ISO 8601"),
    (["Nov 14, 2023 22:13", "14 Nov 2023 22:13", "14-Nov-2023 22:13"], "month by name"),
    (["November 14, 2023, 10:13 PM", "14th November 2023 at 10:13 p.m."], "month by name"),
    (["Tue, 14 Nov 2023 22:13:00 GMT", "Tue, 14 Nov 2023 23:13:00 +0100"], "month by name"),
    (["Tue Nov 14 22:13:00 2023", "Tue Nov 14 14:13:00 -0800 2023"], "month by name"),
    (["2023-11-14 22:13", "14 Nov 2023 22:13"], "ISO 8601 and month by name"),
    (["11/14/2023 22:13"], "month/day/year"),
    (["11/14/2023 10:13 PM", "11/14/2023 22:13:00"], "month/day/year"),
    (["14/11/2023 22:13"], "day/month/year"),
    (["14.11.2023 22:13"], "day/month/year"),
    (["14-11-2023, 22:13"], "day/month/year"),
]


@pytest.mark.parametrize(("values", "notation"), NOTATIONS)
def test_one_moment_in_every_notation(values: list[Any], notation: str) -> None:
    assert read(values) == ([S] * len(values), notation)


def test_other_values_of_the_column_decide() -> None:
    """Numbers near 1970 are of the unit of the others; dates of either order are as the others must be."""
    assert read(["5", f"{S}000"])[0] == [0.005, S]
    assert read(["0", "1", "86400"]) == ([0, 1, 86400], "seconds since 1970")
    assert read(["1/2/2023", "1/13/2023"])[0][0] == datetime(2023, 1, 2, tzinfo=UTC).timestamp()
    assert read(["1/2/2023", "13/1/2023"])[0][0] == datetime(2023, 2, 1, tzinfo=UTC).timestamp()
    assert read(["1.2.2023"])[0][0] == datetime(2023, 2, 1, tzinfo=UTC).timestamp()
    assert read(["2024", "2023"])[0] == [
        datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2024, 2023)
    ]
    assert read(["2024", "5"]) == ([2024, 5], "seconds since 1970")
    assert read(["2024", f"{S}000"])[0] == [2.024, S]
    assert read(["2023-5", "2023-5-1"])[0] == [datetime(2023, 5, 1, tzinfo=UTC).timestamp()] * 2
    assert read(["20231114"]) == ([datetime(2023, 11, 14, tzinfo=UTC).timestamp()], "YYYYMMDD")


@pytest.mark.parametrize("day_first", [True, False])
def test_a_setting_decides_where_the_column_cannot(day_first: bool) -> None:
    month, day = (2, 1) if day_first else (1, 2)

    assert read(["1/2/2023"], day_first)[0] == [datetime(2023, month, day, tzinfo=UTC).timestamp()]


REFUSED = [
    (
        [str(S), f"{S}000"],
        rf"'{S}' \(line 2\) is seconds, and '{S}000' \(line 3\) is milliseconds; write all",
    ),
    ([str(S), "2023-11-14"], r"is seconds, and '2023-11-14' \(line 3\) is ISO 8601"),
    (["2023-11-14", "0"], r"'0' \(line 3\) is a small number, and '2023-11-14' \(line 2\) is ISO 8601"),
    (["20231114", "5"], "is a small number, and '20231114'"),
    (["1/2/2023", "3/4/2023"], r"'1/2/2023' \(line 2\) and all others .* day_first = true or false"),
    (
        ["13/1/2023", "1/13/2023"],
        r"'1/13/2023' \(line 3\) begins with the month, '13/1/2023' \(line 2\) with",
    ),
    (["soon"], "'soon' is no time; use ISO 8601"),
    (["2023-11-14", "2023"], r"'2023' \(line 3\) is a year, and '2023-11-14' \(line 2\) is ISO 8601"),
    (["Nov 14, 2023", "11/14/2023"], "is month by name, and '11/14/2023'"),
    (["Feb 30, 2023"], "there is no such day"),
    (["Nov 14, 23"], "'Nov 14, 23' is no time"),
    (["Nov 14, 2023 22:13 EST"], "no such time of day"),
    (["Octember 3, 2023"], "is no time"),
    (["1/2/23"], "'1/2/23' is no time"),
    (["13/13/2023"], "'13/13/2023' is no date"),
    (["29/2/2023"], "'29/2/2023' is no date"),
    (["14/11/2023 25:00"], "no such time of day"),
    (["14/11/2023 13:00 PM"], "no such time of day"),
    (["2023-02-30"], "is no time"),
    (["2023/13/01"], "is no time"),
    (["99999-01-01"], "is no time"),
    (["1e30"], "is not in the years that can be: 1 to 9999"),
    (["1e999"], "is beyond the range of numbers"),
    (["9999-12-31T23:00-12:00"], "is not in the years that can be"),
    (["nan"], "'nan' is no time"),
    (["1_700_000_000"], "is no time"),
    (["１７００００００００"], "is no time"),  # noqa: RUF001  # digits of another script
    ([" "], "the time is missing"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED)
def test_what_is_no_column_of_times_is_refused_with_the_way_out(values: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(values)


def test_a_setting_that_the_column_contradicts_is_told() -> None:
    with pytest.raises(ValueError, match=r"'1/13/2023' \(line 2\) cannot be read with day_first = true"):
        read(["1/13/2023"], day_first=True)


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.booleans())
def test_every_moment_that_serving_takes_is_read_in_each_written_notation(
    moment: datetime, mark: bool
) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    text = f"{moment.day}/{moment.month}/{moment.year:04} {moment:%H:%M:%S}"

    assert read([text], day_first=True)[0] == [moment.timestamp()]
    assert read([f"{moment:%a, %d %b} {moment.year:04} {moment:%I:%M:%S %p}"])[0] == [moment.timestamp()]
    assert read([f"{moment:%B} {moment.day}, {moment.year:04} {moment:%H:%M:%S}"])[0] == [moment.timestamp()]
    assert read([moment.isoformat(sep=" " if mark else "T")])[0] == [moment.timestamp()]


@given(st.text(max_size=30) | st.integers().map(str) | st.floats().map(str))
def test_any_text_is_a_time_that_serving_takes_or_a_sentence(text: str) -> None:
    column = TimeColumn(day_first=True)
    try:
        raw = column.raw(text)
    except ValueError:
        return
    [seconds] = column.seconds(np.array([raw])).tolist()

    assert OLDEST_S <= seconds < NEWEST_S
