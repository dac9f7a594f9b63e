"""What other programs write is read back the same; whatever bytes there are give rows or a named error."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from bundle.errors import EncoderyError
from tabular import DataError, Row, column_names, named_rows, read_rows
from tabular.formats import SUFFIXES
from tabular.lines import BLOCK_BYTES, LONGEST_LINE, Lines

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NAMES = st.lists(TEXT.map(str.strip).filter(bool), min_size=2, max_size=4, unique=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
a_few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def contents(path: Path) -> list[Any]:
    rows = list(read_rows(path))
    assert [row.fault for row in rows if row.fault] == []
    return [row.content for row in rows]


def outcome(path: Path) -> tuple[list[Row], str]:
    """The rows, or the error of the file as a whole."""
    try:
        return list(read_rows(path)), ""
    except EncoderyError as error:
        return [], str(error)


@pytest.mark.parametrize("sign", [",", "\t"])
@pytest.mark.parametrize("end", ["", "S", "SS"])
def test_names_may_end_in_empty_ones_as_spreadsheets_write_them(tmp_path: Path, sign: str, end: str) -> None:
    """Rows are as wide as the first line or as its names, all alike; no value there is lost in silence."""
    ending = end.replace("S", sign)
    path = tmp_path / ("log.csv" if sign == "," else "log.tsv")
    rows = [["u", "i", "t"], ["a", "b", "c"], ["d", "e", ""]]
    path.write_text("".join(sign.join(row) + ending + "\n" for row in rows))

    assert contents(path) == [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]

    path.write_text(f"u{sign}i{sign}\na{sign}b\nc{sign}d\n")
    assert contents(path) == [{"u": "a", "i": "b"}, {"u": "c", "i": "d"}]

    path.write_text(f"u{sign}i{sign}\na{sign}b{sign}\nc{sign}d\ne{sign}f{sign}g\n")
    assert [row.fault for row in read_rows(path)] == [
        "",
        "2 fields, expected 3",
        "a value in column 3, which has no name in the first line",
    ]


def test_a_column_may_be_named_as_the_line_for_excel(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("SEP=,0\na,b\n")

    assert contents(path) == [{"SEP=": "a", "0": "b"}]


def tables(fields: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[list[str], list[list[str]]]]:
    def rows(names: list[str]) -> st.SearchStrategy[tuple[list[str], list[list[str]]]]:
        row = st.lists(fields, min_size=len(names), max_size=len(names))
        return st.tuples(st.just(names), st.lists(row, max_size=5))

    return NAMES.filter(lambda names: not names[0].startswith(("{", "<", "[", '"'))).flatmap(rows)


@a_few
@given(
    table=tables(TEXT), ends=st.sampled_from(["\n", "\r\n", "\r"]), mark=st.booleans(), packed=st.booleans()
)
def test_what_csv_writes_is_read_back(
    tmp_path: Path, table: tuple[list[str], list[list[str]]], ends: str, mark: bool, packed: bool
) -> None:
    names, rows = table
    file = io.StringIO(newline="")
    quoting = csv.QUOTE_MINIMAL if ends == "\r\n" else csv.QUOTE_ALL  # it leaves a bare CR unquoted there
    csv.writer(file, lineterminator=ends, quoting=quoting).writerows([names, *rows])
    content = file.getvalue().encode("utf-8-sig" if mark else "utf-8")
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(content) if packed else content)

    assert contents(path) == [dict(zip(names, row, strict=True)) for row in rows]


@a_few
@given(table=tables(TEXT.filter(lambda field: not set(field) & set("\t\r\n"))))
def test_what_csv_writes_with_tabs_is_read_back(
    tmp_path: Path, table: tuple[list[str], list[list[str]]]
) -> None:
    names, rows = table
    names = [name.translate({9: "_", 10: "_", 13: "_"}) for name in names]
    with (tmp_path / "a.tsv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t").writerows([names, *rows])
    if len(set(names)) < len(names):
        return

    assert contents(tmp_path / "a.tsv") == [dict(zip(names, row, strict=True)) for row in rows]


@a_few
@given(rows=st.lists(JSON, max_size=5), ascii_only=st.booleans(), mark=st.booleans())
def test_what_json_writes_is_read_back(tmp_path: Path, rows: list[Any], ascii_only: bool, mark: bool) -> None:
    content = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    if content.startswith(("[{", "[]")):  # an array instead of lines of objects is refused
        return
    (tmp_path / "a.jsonl").write_text(content, encoding="utf-8-sig" if mark else "utf-8", newline="")

    assert contents(tmp_path / "a.jsonl") == rows


MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
TYPES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), TEXT),
    (pa.large_string(), TEXT),
    (pa.dictionary(pa.int32(), pa.string()), TEXT),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.bool_(), st.booleans()),
    (pa.decimal128(20, 4), st.decimals(-(10**12), 10**12, places=4, allow_nan=False)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), MOMENTS),
    (pa.timestamp("us", "Europe/Berlin"), MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC))),
    (pa.list_(pa.string()), st.lists(TEXT, max_size=3)),
    (pa.struct([("a", pa.int32())]), st.fixed_dictionaries({"a": st.integers(-9, 9)})),
]


@pytest.mark.parametrize(("kind", "values"), TYPES, ids=str)
@a_few
@given(data=st.data())
def test_what_pyarrow_writes_is_read_back(
    tmp_path: Path, kind: pa.DataType, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.none() | values, max_size=5))
    parquet.write_table(
        pa.table({"a": pa.array(rows, kind), "b": pa.nulls(len(rows))}), tmp_path / "a.parquet"
    )

    assert contents(tmp_path / "a.parquet") == [{"a": value, "b": None} for value in rows]


BEGINNINGS = [b"", b"a,b\n", b"a\tb\n", b'{"a": ', b"PAR1", b"\x1f\x8b\x08", b"\xef\xbb\xbf", b'"a\n']


@a_few
@given(
    suffix=st.sampled_from([*SUFFIXES, *(f"{suffix}.gz" for suffix in SUFFIXES)]),
    beginning=st.sampled_from(BEGINNINGS),
    rest=st.binary(max_size=60) | st.text('ab,\t"\r\n{}[]:0\0\ufeff', max_size=40).map(str.encode),
    packed=st.booleans(),
)
def test_any_bytes_give_rows_or_an_error_that_names_the_file(
    tmp_path: Path, suffix: str, beginning: bytes, rest: bytes, packed: bool
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(beginning + rest) if packed else beginning + rest)
    rows, error = outcome(path)

    assert not error or error.startswith(path.name)
    assert [row.number for row in rows] == sorted(row.number for row in rows)
    assert all(len(row.fault) < 400 for row in rows)


@settings(a_few, max_examples=30)
@given(cut=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_damaged_parquet_file_gives_rows_or_an_error_that_names_it(
    tmp_path: Path, cut: int, byte: int
) -> None:
    file = io.BytesIO()
    parquet.write_table(pa.table({"a": ["x", "y"], "t": [datetime(2020, 1, 1), None]}), file)
    content = bytearray(file.getvalue())
    content[cut % len(content)] = byte
    (tmp_path / "a.parquet").write_bytes(bytes(content))
    rows, error = outcome(tmp_path / "a.parquet")

    assert not error or error.startswith("a.parquet")
    assert all(isinstance(row.content, dict) for row in rows)


def test_lines_end_in_any_way_and_are_numbered_over_blocks(tmp_path: Path) -> None:
    """The block ends between CR and LF; the line after it has a byte that is no UTF-8."""
    first = b"x" * (BLOCK_BYTES - 1)
    (tmp_path / "a.txt").write_bytes(first + b"\r\nb\rc\xff\nd")
    lines = Lines(tmp_path / "a.txt", is_table=False)

    assert [line.rstrip("\r\n") for line in lines] == [first.decode(), "b", "c\ufffd", "d"]
    assert list(lines.faults) == [3]


def test_a_line_without_an_end_is_refused_before_memory_is_full(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.jsonl.gz", "wb", compresslevel=1) as file:
        file.write(b"{}\n")
        for _ in range((LONGEST_LINE >> 20) + 2):
            file.write(b" " * (1 << 20))

    with pytest.raises(DataError, match=r"a\.jsonl\.gz, line 2: longer than 64 MiB"):
        list(read_rows(tmp_path / "a.jsonl.gz"))


def test_the_line_of_a_quote_is_found_whatever_stands_before_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n"1\n2","3 ""x""\n4"\n5,6\n"7\n8","9\n10,11\n')

    with pytest.raises(DataError, match=r"a\.csv, line 7: the quote that opens here is never closed"):
        list(read_rows(tmp_path / "a.csv"))


def test_a_row_over_several_lines_stands_in_its_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n"1\n2",3\n\n4,5,6\n')

    assert [(row.number, row.fault) for row in read_rows(tmp_path / "a.csv")] == [
        (2, ""),
        (5, "3 fields, expected 2"),
    ]


TSV = [
    ('"a ""b"""\tc', {"x": 'a "b"', "y": "c"}),
    ('"a" b\t"', {"x": '"a" b', "y": '"'}),
    ('6" nail\t"open', {"x": '6" nail', "y": '"open'}),
]


@pytest.mark.parametrize(("line", "values"), TSV)
def test_quotes_of_a_tsv_are_part_of_a_field_unless_they_stand_around_it(
    tmp_path: Path, line: str, values: dict[str, str]
) -> None:
    (tmp_path / "a.tsv").write_text(f"x\ty\n{line}\nz\tz\n")

    assert contents(tmp_path / "a.tsv")[0] == values


def test_an_index_of_pandas_has_no_name_and_is_no_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",a, b \n0,1,2\n")

    assert column_names(tmp_path / "a.csv") == ["a", "b"]
    assert [row.content for row in named_rows(tmp_path / "a.csv", ["b"])] == [{"b": "2"}]


def test_a_column_that_no_row_has_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"Price": 1}\n{"prices": 2}\n')
    (tmp_path / "a.csv").write_text("Price,prices\n1,2\n")

    for name in ("a.jsonl", "a.csv"):
        with pytest.raises(DataError, match=rf"{name}.*'price'; did you mean 'Price'\?"):
            list(named_rows(tmp_path / name, ["price"], may_lack=True))


UNPLAIN: list[tuple[pa.Array, list[Any], Callable[[str], bool]]] = [
    (pa.array([b"\xc3\xa4", None]), ["ä", None], lambda fault: not fault),
    (pa.array([b"ab", b"cd"], pa.binary(2)), ["ab", "cd"], lambda fault: not fault),
    (pa.array([b"a", b"\xff"]), ["a", None], lambda fault: "cannot be read, it is binary" in fault),
    (pa.array([1.0, math.nan]), [1.0, None], lambda fault: not fault),
    (
        pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns", "Nowhere/Land")),
        [datetime(2023, 11, 14, 22, 13, 20, 123456, UTC), None],
        lambda fault: not fault,
    ),
    (
        pa.array([[1_700_000_000_000_000_001]], pa.list_(pa.timestamp("ns"))),
        [[datetime(2023, 11, 14, 22, 13, 20)]],
        lambda fault: not fault,
    ),
    (
        pa.array([10**15], pa.timestamp("s")),
        [None],
        lambda fault: "cannot be read, it is timestamp[" in fault,
    ),
    (pa.array([1_500], pa.duration("ns")), [timedelta(microseconds=1)], lambda fault: not fault),
    (pa.array([date(2020, 1, 1)]), [date(2020, 1, 1)], lambda fault: not fault),
    (pa.array([Decimal("10.50")]), [Decimal("10.50")], lambda fault: not fault),
]


@pytest.mark.parametrize(("column", "values", "is_expected"), UNPLAIN)
def test_types_of_parquet_become_plain_values(
    tmp_path: Path, column: pa.Array, values: list[Any], is_expected: Callable[[str], bool]
) -> None:
    parquet.write_table(pa.table({"a": column}), tmp_path / "a.parquet")
    rows = list(read_rows(tmp_path / "a.parquet"))

    assert [row.content["a"] for row in rows] == values
    assert is_expected("".join(row.fault for row in rows))
