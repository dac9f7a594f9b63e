"""Numbers, ids and texts out of what a file holds, and the counts at its end."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.preprocess.features.rows import entries_in
from bundle.values import number_in
from tabular import BadRows, DataError, Row, RowCounts
from tabular.counts import OTHER, SHOWN_REASONS
from tabular.values import are_whole_floats, id_of_text, number_of_text, text_of


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300))
def test_every_finite_number_that_python_writes_is_read(number: float) -> None:
    assert number_of_text(f" {number} ") == float(number)


@given(st.text("0123456789.,eE+-_ naif", max_size=8))
def test_what_is_read_as_a_number_is_what_python_reads_and_finite(text: str) -> None:
    try:
        number = number_in(text)
    except ValueError:
        return

    assert number == float(text)
    assert math.isfinite(number)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nan", "no finite number; leave it empty"),
        ("-Infinity", "no finite number"),
        ("1e400", "beyond the range"),
        ("1_000", "leave out the underscores"),
        ("1,234.5", "leave out the commas"),
        ("1,5", "after a point, not a comma"),
        ("１２", "is no number"),  # noqa: RUF001  # digits of another script
        ("12 EUR", "is no number"),
        ("9" * 500 + "x", r"9{39}…' is no number"),
    ],
)
def test_what_is_no_number_says_how_to_write_it(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        number_in(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (1001.0, "1001"),
        (1.5, "1.5"),
        (math.nan, ""),
        (1e20, "1e+20"),
        (Decimal("1001.00"), "1001"),
        (Decimal("0.10"), "0.10"),
        (True, "True"),
        (10**30, "1" + "0" * 30),
        (["a", 1.0], "a|1"),
        (date(2020, 1, 2), "2020-01-02"),
        (datetime(2020, 1, 2, 3, tzinfo=UTC), "2020-01-02 03:00:00+00:00"),
    ],
)
def test_typed_values_are_the_text_that_a_csv_would_have(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, "an object; give each of its values a column"),
        ([["a|b"]], r"an entry of a list holds '\|'"),
        (math.inf, "no finite number"),
    ],
)
def test_values_without_a_text_are_refused(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        text_of(value)


def test_ids_are_whole_floats_only_if_all_are() -> None:
    assert are_whole_floats(["1001.0", "", " 7.0 "])
    assert not are_whole_floats(["1.0", "1.1"])
    assert not are_whole_floats(["1001"])
    assert not are_whole_floats(["", " "])
    assert id_of_text(" 1001.0 ", is_whole_float=True) == "1001"
    assert id_of_text(" 1.0 ") == "1.0"
    with pytest.raises(ValueError, match="the id 'A1' is no whole number"):
        id_of_text("A1", is_whole_float=True)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ('["a", "b"]', ["a", "b"]),
        ("['Pork', \"Lamb's\"]", ["Pork", "Lamb's"]),
        ("[1, 2]", [1, 2]),
        ("a| b||c", ["a", "b", "c"]),
        ("a", ["a"]),
        ("[]", []),
        ("", []),
        ('[{"id": "a", "time": "2020-01-01"}]', [{"id": "a", "time": "2020-01-01"}]),
    ],
)
def test_lists_stand_in_texts_in_several_ways(text: str, entries: list[Any]) -> None:
    assert entries_in(text) == entries


@pytest.mark.parametrize(
    "text", ["['a' 'b']", "[a, b]", "[" * 5000, "[1, 2", "['a']; import os", "[x for x in y]"]
)
def test_a_text_in_brackets_that_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no list; write it in JSON"):
        entries_in(text)


def test_counts_are_told_with_the_first_places_of_each_reason() -> None:
    counts = RowCounts("log.csv", read=10)
    for line in (2, 5, 6, 9):
        counts.leave_out("no user", line)
    counts.add_bad("2 fields, expected 3", 4)
    counts.notes.append("time is ISO 8601")

    assert counts.used == 5
    assert counts.report() == (
        "read 10 rows of log.csv, used 5, left out 5: 4 x no user (lines 2, 5, 6, …); "
        "1 x 2 fields, expected 3 (line 4)\n  time is ISO 8601"
    )


def test_reasons_without_end_are_counted_together() -> None:
    """A file whose every line is bad in a way of its own takes no more memory than another."""
    bad, rows = BadRows("skip"), [Row("a.csv, line", line, [], f"fault {line}") for line in range(1000)]
    list(bad.counting(iter(rows), "a.csv"))

    assert bad.found == 1000
    assert len(bad.files[0].bad) == SHOWN_REASONS + 1
    assert bad.files[0].bad[OTHER].count == 1000 - SHOWN_REASONS


def test_stop_is_at_the_first_bad_row() -> None:
    with pytest.raises(DataError, match=r"^a\.csv, line 7: worn out$"):
        list(BadRows().counting(iter([Row("a.csv, line", 7, None, "worn out")]), "a.csv"))
