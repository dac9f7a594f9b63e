"""Lists, columns and tables become rows of plain JSON."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encodery_client.rows import plain, rows_of


def test_a_column_of_arrow_is_texts() -> None:
    assert list(rows_of(pa.chunked_array([["a"], ["b", "c"]]))) == ["a", "b", "c"]


def test_a_table_of_arrow_is_objects_without_what_is_missing() -> None:
    table = pa.table(
        {"id": ["a", None], "price": [1.5, float("nan")], "history": [["x", "y"], []],
         "seen": [datetime.date(2024, 1, 2), None]}
    )  # fmt: skip

    assert list(rows_of(table)) == [
        {"id": "a", "price": 1.5, "history": ["x", "y"], "seen": "2024-01-02"},
        {"history": []},
    ]


def test_arrays_of_numpy_are_texts() -> None:
    rows = list(rows_of(np.array(["a", "b"])))

    assert rows == ["a", "b"]
    assert {type(row) for row in rows} == {str}


class Frame:
    """As pandas' DataFrame, as far as it is used."""

    columns = ("id", "price")

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return [{"id": np.int64(7), "price": np.float64("nan")}]


def test_a_frame_of_pandas_is_objects() -> None:
    assert list(rows_of(Frame())) == [{"id": 7}]


def test_times_are_written_in_iso() -> None:
    assert plain(datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.UTC)) == "2024-01-02T03:00:00+00:00"


@pytest.mark.parametrize("value", ["text", {"id": 1}, 3])
def test_a_single_input_is_not_taken_apart(value: Any) -> None:
    with pytest.raises(TypeError):
        list(rows_of(value))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_whatever_is_made_plain_can_be_written(value: Any) -> None:
    json.dumps(plain(value), allow_nan=False)
