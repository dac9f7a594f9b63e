"""Logs as people have them: what is read out of them, what is left out, and what is said of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from training.errors import ConfigError
from training.recommender.config.features import FeatureConfig, InteractionsConfig
from training.recommender.data.interactions import Interactions, read_interactions

USER = [FeatureConfig(name="history", kind="history"), FeatureConfig(name="born", kind="time")]
ITEM = [
    FeatureConfig(name="id", kind="category", column="item"),
    FeatureConfig(name="price", kind="number"),
    FeatureConfig(name="tags", kind="bag"),
]
HEADER = "user,item,time,price,tags,born\n"
S = 1_700_000_000


def read(directory: Path, name: str = "log.csv", **changes: Any) -> Interactions:
    fields: dict[str, Any] = {"path": name, "user": "user", "item": "item", "time": "time", "core": 1}
    return read_interactions(InteractionsConfig(**(fields | changes)), directory, USER, ITEM)


def log(directory: Path, lines: str, **changes: Any) -> Interactions:
    (directory / "log.csv").write_text(HEADER + lines)
    return read(directory, **changes)


def test_what_is_left_of_a_log_is_counted_by_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        "u,a,1,5,,", "u,a,2,5,,", ",a,3,5,,", "u, ,3,5,,", "u,b,4,-1,,",
        "v,b,5,,,", "v,a,6,1,,", "w,c,7,1,,", "w", "v,c,soon,1,,",
    ]  # fmt: skip

    found = log(tmp_path, "\n".join(lines), where=["price > 0"], bad_rows="skip")

    assert (found.users, found.items) == (["u", "v", "w"], ["a", "c"])
    assert capsys.readouterr().err.splitlines() == [
        "read 10 rows of log.csv, used 4, left out 6: 1 x no user (line 4); 1 x no item (line 5); "
        "2 x not price > 0 (lines 6, 7); 1 x 1 fields, expected 6 (line 10); "
        "1 x time: 'soon' is no time; use ISO 8601 (2011-11-02 09:30), Nov 14, 2023, "
        "seconds since 1970 or 11/14/2023 22:13 (line 11)",
        "  time is seconds since 1970, from 1970-01-01 to 1970-01-01",
        "  4 rows are 3 pairs of 3 users and 2 items: of a pair the first row counts",
        "  data.core = 1 leaves 3 of 3 users, 2 of 2 items, 3 of 3 pairs",
    ]


def test_what_a_core_leaves_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log(tmp_path, "u,a,1,,,\nu,b,1,,,\nv,a,1,,,\nv,b,1,,,\nw,b,1,,,\nw,c,1,,,\n", core=2)

    assert "data.core = 2 leaves 2 of 3 users, 2 of 3 items, 4 of 6 pairs" in capsys.readouterr().err


@pytest.mark.parametrize("parts", [1, 10**3, 10**6, 10**9])
def test_times_may_be_counted_in_any_part_of_a_second(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], parts: int
) -> None:
    found = log(tmp_path, f"u,a,{S * parts},,,\nu,b,{(S + 60) * parts},,,\n")

    assert found.time.tolist() == [S, S + 60]
    assert "seconds since 1970, from 2023-11-14 to 2023-11-14" in capsys.readouterr().err


def test_days_and_months_are_told_apart_by_all_rows(tmp_path: Path) -> None:
    found = log(tmp_path, "u,a,2/1/2023,,,1/2/1980\nu,b,13/1/2023,,,13/2/1980\n")

    assert (found.time[1] - found.time[0]) / 86_400 == 11
    assert found.user_records.of(0, found.histories()[0]) == {"born": 315_532_800 + 31 * 86_400}


def test_ids_lose_their_blanks_and_the_fractions_of_pandas(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of items joins whatever of the two has a missing id."""
    (tmp_path / "items.csv").write_text("item,price,tags\n7,2,x|y\n8,3,\n")

    found = log(tmp_path, "u , 7.0,1,,,\nu,8.0,2,,,\n,,3,,,\n", items="items.csv")

    assert (found.users, found.items) == (["u"], ["7", "8"])
    assert found.item_records.of(0, found.histories()[0])["price"] == 2
    told = capsys.readouterr().err
    assert "ids in user: 1 had blanks around them" in told
    assert "ids in item: whole numbers written as floats: 1001.0 is 1001; 1 had blanks" in told
    assert "read 2 rows of items.csv, used 2" in told


def test_categories_that_pandas_wrote_as_floats_are_those_that_were_meant(tmp_path: Path) -> None:
    """A caller sends 3, and not 3.0."""
    (tmp_path / "log.csv").write_text("user,item,time,shelf\nu,a,1,3.0\nu,b,2,\n")
    config = InteractionsConfig(path="log.csv", user="user", item="item", time="time", core=1)
    item = [ITEM[0], FeatureConfig(name="shelf", kind="category")]

    found = read_interactions(config, tmp_path, USER[:1], item)

    assert found.item_records.of(0, found.histories()[0]) == {"shelf": "3"}


def test_ids_that_only_look_like_floats_stay(tmp_path: Path) -> None:
    assert log(tmp_path, "u,1.0,1,,,\nu,1.1,2,,,\n").items == ["1.0", "1.1"]


def test_an_id_among_whole_floats_that_is_none_is_a_bad_row(tmp_path: Path) -> None:
    """Such a column was written by a tool from numbers; this row was not."""
    lines = "".join(f"u,{n}.0,1,,,\n" for n in range(1000)) + "u,A7,1,,,\n"

    with pytest.raises(ConfigError, match=r"log\.csv, line 1002: item: the id 'A7' is no whole number"):
        log(tmp_path, lines)


def test_floats_of_parquet_are_ids_and_missing_ones_are_left_out(tmp_path: Path) -> None:
    rows = {"user": [1.0, None, 2.0], "item": ["a", "a", "b"], "time": [1, 2, 3]}
    more = {"price": [1.5, None, 2.0], "tags": [["x"], [], None], "born": [None, None, None]}
    parquet.write_table(pyarrow.table(rows | more), tmp_path / "log.parquet")

    assert read(tmp_path, "log.parquet").users == ["1", "2"]


@pytest.mark.parametrize("tags", ["x|y", "\"['x', 'y']\"", '"[""x"", ""y""]"'])
def test_bags_may_be_lists_as_programs_print_them(tmp_path: Path, tags: str) -> None:
    found = log(tmp_path, f"u,a,1,,{tags},\n")

    assert found.item_records.of(0, found.histories()[0]) == {"tags": ["x", "y"]}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("u,b,1,nan,,", "price: 'nan' is no finite number; leave it empty if it is missing"),
        ("u,b,1,1_000,,", "price: '1_000' is no number: leave out the underscores"),
        ("u,b,1,,['x' 'y'],", "tags: no list; write it in JSON"),
        ("u,b,1,,,someday", "born: 'someday' is no time"),
        ("u,b,,,,", "time: the time is missing"),
        ("u,b,1e30,,,", "time: '1e30' is not in the years that can be: 1 to 9999"),
    ],
)
def test_a_value_that_is_none_stops_or_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, fault: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        log(tmp_path, f"u,a,1,,,\n{line}\n")

    assert str(caught.value).startswith(f"data.path: log.csv, line 3: {fault}")
    assert log(tmp_path, f"u,a,1,,,\n{line}\n", bad_rows="skip").items == ["a"]
    assert f"left out 1: 1 x {fault}" in capsys.readouterr().err


def test_blanks_around_a_value_are_no_part_of_it_in_a_condition_either(tmp_path: Path) -> None:
    found = log(tmp_path, "u,a,1,, buy ,\nv,b,2,,buy,\nw,c,3,,look,\n", where=["tags == buy"])

    assert found.users == ["u", "v"]


def test_a_row_that_does_not_count_may_hold_anything(tmp_path: Path) -> None:
    """Only rows that are used are looked into further than the conditions ask for."""
    assert log(tmp_path, "u,a,1,1,,\nu,b,never,0,,\n", where=["price > 0"]).items == ["a"]


def test_bad_rows_of_the_file_of_items_are_left_out_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "items.csv").write_text("item,price,tags\na,cheap,\nb,2\n,3,\n")
    with pytest.raises(ConfigError, match=r"data\.items: items\.csv, line 2: price: 'cheap' is no number"):
        log(tmp_path, "u,a,1,,,\n", items="items.csv")

    log(tmp_path, "u,a,1,,,\n", items="items.csv", bad_rows="skip")

    assert (
        "read 3 rows of items.csv, used 0, left out 3: 1 x no item (line 4); 1 x price"
        in capsys.readouterr().err
    )
