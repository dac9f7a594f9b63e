from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from training.errors import ConfigError
from training.recommender.config.features import FeatureConfig, InteractionsConfig
from training.recommender.data.interactions import Interactions, read_interactions
from training.recommender.data.records import Record

HEADER = "user,item,time,title,price,tags,born\n"
USER = [FeatureConfig(name="history", kind="history"), FeatureConfig(name="born", kind="time")]
ITEM = [
    FeatureConfig(name="id", kind="category", column="item"),
    FeatureConfig(name="title", kind="text"),
    FeatureConfig(name="price", kind="number"),
    FeatureConfig(name="tags", kind="bag"),
]


def read(directory: Path, lines: str, *, header: str = HEADER, **changes: Any) -> Interactions:
    (directory / "log.csv").write_text(header + lines)
    fields: dict[str, Any] = {"path": "log.csv", "user": "user", "item": "item", "time": "time", "core": 1}
    return read_interactions(InteractionsConfig(**(fields | changes)), directory, USER, ITEM)


def pairs(log: Interactions) -> list[tuple[str, str, float]]:
    return [
        (log.users[user], log.items[item], moment)
        for user, item, moment in zip(log.user, log.item, log.time.tolist(), strict=True)
    ]


def test_first_interaction_of_a_pair_counts_whatever_the_order_of_lines(tmp_path: Path) -> None:
    log = read(tmp_path, "u,a,30,,,,\nu,b,20,,,,\nu,a,10,,,,\n")

    assert pairs(log) == [("u", "a", 10), ("u", "b", 20)]


def test_times_may_be_iso_8601(tmp_path: Path) -> None:
    log = read(tmp_path, "u,a,1970-01-02 00:00,,,,\nu,b,1970-01-01T01:00:00+01:00,,,,\n")

    assert pairs(log) == [("u", "b", 0), ("u", "a", 86_400)]


def test_lines_without_user_or_item_are_left_out(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, ",a,1,,,,\nu,,1,,,,\nu,a,1,,,,\n")) == [("u", "a", 1)]


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("price > 1", ["b", "c"]),
        ("price <= 2", ["a", "b"]),
        ("price >= 3", ["c"]),
        ("price < 2", ["a"]),
        ("title == red", ["a"]),
        ("title != red", ["b", "c"]),
        ("item ~ ^[ab]$", ["a", "b"]),
        ("item !~ ^[ab]$", ["c"]),
    ],
)
def test_conditions_choose_lines(tmp_path: Path, condition: str, kept: list[str]) -> None:
    log = read(tmp_path, "u,a,1,red,1,,\nu,b,2,blue,2,,\nu,c,3,green,3,,\n", where=[condition])

    assert log.items == kept


def test_core_is_taken_until_nothing_changes(tmp_path: Path) -> None:
    """Item c goes for lack of users; then user w has one item left and goes; then nothing else does."""
    lines = "u,a,1,,,,\nu,b,1,,,,\nv,a,1,,,,\nv,b,1,,,,\nw,b,1,,,,\nw,c,1,,,,\n"

    log = read(tmp_path, lines, core=2)

    assert (log.users, log.items) == (["u", "v"], ["a", "b"])


def item_records(log: Interactions, rows: Sequence[int] | None = None) -> list[Record]:
    """Of every item, by these rows of the log, or all."""
    chosen = np.arange(len(log.item)) if rows is None else np.array(rows)
    return log.item_records.of_each(log.item, chosen, len(log.items))


def test_records_take_the_commonest_text_the_median_and_the_earliest(tmp_path: Path) -> None:
    """The later row of a pair says nothing: it is no row of the log."""
    lines = "u,a,1,red,1,x|y,50\nv,a,2,blue,9,x|y,60\nw,a,2,red,2,z,\nu,b,3,,,,40\nu,a,4,green,8,,10\n"

    log = read(tmp_path, lines)

    assert item_records(log) == [{"title": "red", "price": 2.0, "tags": ["x", "y"]}, {}]
    users = log.user_records.of_each(log.user, np.arange(4), 3)
    assert users == [{"born": 40.0}, {"born": 60.0}, {}]


def test_record_is_told_by_the_rows_that_are_given_alone(tmp_path: Path) -> None:
    """Ties go to the first by text."""
    log = read(tmp_path, "u,a,1,red,1,,50\nv,a,2,blue,9,,60\nu,b,3,,,,40\n")

    assert log.user_records.of(0, np.array([0])) == {"born": 50.0}
    assert log.user_records.of(0, np.array([], dtype=np.int64)) == {}
    assert item_records(log, [1, 2]) == [{"title": "blue", "price": 9.0}, {}]
    assert item_records(log) == [{"title": "blue", "price": 5.0}, {}]


def test_first_rows_are_those_that_tell_each_value_first(tmp_path: Path) -> None:
    log = read(tmp_path, "u,a,1,,1,,\nv,a,2,red,2,,\nw,a,3,blue,3,,\nu,b,4,green,,,\n")

    assert log.item_records.first_rows(log.item, np.arange(4)).tolist() == [0, 1, 3]


def test_file_of_users_holds_facts_whatever_is_shown(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user,born\nv,7\nu,5\nnobody,1\n")

    log = read(tmp_path, "u,a,1,,,\nw,a,2,,,\n", header=HEADER.replace(",born", ""), users="users.csv")

    assert not log.user_records.follow_rows
    assert log.user_records.of(0, np.array([], dtype=np.int64)) == {"born": 5.0}
    assert log.user_records.of(1, np.array([1])) == {}


def test_core_of_a_log_that_is_split_in_time_is_that_of_what_was_before(tmp_path: Path) -> None:
    """Of 21 pairs the last four are later: v and w come back, n is new, and so is the item z."""
    square = [f"{user},{item},{time},,,," for time, (user, item) in enumerate(product("tuvw", "abcd"))]
    lines = [*square[:15], "u,e,15,,,,", "t,e,16,,,,", "w,e,50,,,,", "n,a,61,,,,", "w,z,62,,,,", "v,e,63,,,,"]

    log = read(tmp_path, "\n".join(lines), core=2, protocol="time")

    assert log.later is not None
    assert (log.users, log.items) == (list("tuvw"), list("abcde"))
    assert (log.later.known, log.later.of_new_users, log.later.of_new_items) == (2, 1, 1)
    assert pairs(log)[-2:] == [("w", "e", 50.0), ("v", "e", 63.0)]


def test_log_of_one_moment_cannot_be_split_in_time(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.protocol: most of the log is of one time"):
        read(tmp_path, "u,a,1,,,,\nv,a,1,,,,\n", protocol="time")


def test_blanks_around_items_and_entries_mean_nothing(tmp_path: Path) -> None:
    log = read(tmp_path, "u,a ,1, red ,1,x | y|x,50\nu, a,2,red,1,x | y|x,50\nu, ,3,red,1,x,50\n")

    assert pairs(log) == [("u", "a", 1)]
    assert item_records(log) == [{"title": "red", "price": 1.0, "tags": ["x", "y", "x"]}]


def test_missing_values_are_left_out_of_records(tmp_path: Path) -> None:
    assert item_records(read(tmp_path, "u,a,1,, ,,\n")) == [{}]


def test_items_may_come_from_a_file_of_their_own_in_gzip(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "items.csv.gz", "wt") as file:
        file.write("item,title,price,tags\nA,red,1,x\n")

    log = read(
        tmp_path, "u,a,1,5\n", header="user,item,time,born\n", items="items.csv.gz", uppercase_items=True
    )

    assert log.items == ["A"]
    assert item_records(log) == [{"title": "red", "price": 1.0, "tags": ["x"]}]


ROWS = [
    {"user": 7, "item": "a", "time": datetime(1970, 1, 2), "title": "red", "price": 1.5},
    {"user": 7, "item": "b", "time": datetime(1970, 1, 1), "title": None, "price": None},
]


def write_parquet(path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)


def write_jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(row, default=str) + "\n" for row in ROWS))


@pytest.mark.parametrize(("name", "write"), [("log.parquet", write_parquet), ("log.jsonl", write_jsonl)])
def test_log_may_be_of_another_kind_of_file(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    """Values have types there: numbers, moments and nothing."""
    write(tmp_path / name)
    config = InteractionsConfig(path=name, user="user", item="item", time="time", core=1)

    log = read_interactions(config, tmp_path, USER[:1], ITEM[:3])

    assert pairs(log) == [("7", "b", 0.0), ("7", "a", 86_400.0)]
    assert item_records(log) == [{"title": "red", "price": 1.5}, {}]


def of_jsonl(directory: Path, *rows: str) -> Interactions:
    (directory / "log.jsonl").write_text("\n".join(rows))
    config = InteractionsConfig(path="log.jsonl", user="user", item="item", time="time", core=1)
    return read_interactions(config, directory, USER[:1], [ITEM[0], ITEM[3]])


def test_lists_are_bags_and_absent_fields_are_empty(tmp_path: Path) -> None:
    log = of_jsonl(
        tmp_path,
        '{"user": "u", "item": "a", "time": 1, "tags": ["x", "y"]}',
        '{"user": "u", "item": "b", "time": 2}',
    )

    assert item_records(log) == [{"tags": ["x", "y"]}, {}]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            '{"user": "u", "item": {"id": 1}, "time": 1}',
            "log.jsonl, line 1.* item: an object; .* of its own",
        ),
        ('{"user": "u", "item": "a", "time": 1, "tags": ["x|y"]}', "an entry of a list holds '|'"),
        ('{"user": "u"', "log.jsonl, line 1: no JSON"),
        ('{"usr": "u", "item": "a", "time": 1}', "log.jsonl: no row has 'user'; did you mean 'usr'"),
    ],
)
def test_row_that_cannot_be_read_is_refused_with_the_way_out(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        of_jsonl(tmp_path, row)


def test_mark_that_spreadsheets_put_first_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, "u,a,1,,,,\n", header="\ufeff" + HEADER)) == [("u", "a", 1)]


def test_digest_follows_the_data(tmp_path: Path) -> None:
    first = read(tmp_path, "u,a,1,,,,\n")

    assert first.sha256 == read(tmp_path, "u,a,1,,,,\n").sha256
    assert first.sha256 != read(tmp_path, "u,a,2,,,,\n").sha256


def test_histories_are_oldest_first(tmp_path: Path) -> None:
    log = read(tmp_path, "v,a,3,,,,\nu,b,2,,,,\nv,c,1,,,,\n")

    assert [[log.items[log.item[row]] for row in rows] for rows in log.histories()] == [["b"], ["c", "a"]]


@pytest.mark.parametrize(
    ("lines", "changes", "message"),
    [
        ("u,a,soon,,,,\n", {}, r"data.path: log.csv, line 2: time: 'soon' is no time"),
        ("u,a,1,,cheap,,\n", {}, r"data.path: log.csv, line 2: price: 'cheap' is no number"),
        (
            "u,a,1,,x,,\n",
            {"where": ["price > 0"]},
            r"log.csv, line 2: price: 'x' is no number, for data.where 'price > 0'",
        ),
        (",a,1,,,,\n", {}, r"data: no row .*; read 1 rows of log.csv, used 0, left out 1: 1 x no user"),
        ("u,a,1/2/2023,,,,\n", {}, r"data.time: log.csv, time: '1/2/2023' .* by day_first = true or false"),
        (
            "u,a,1700000000,,,,\nu,b,1700000000000,,,,\n",
            {},
            r"is seconds, and .* milliseconds",
        ),
        ("", {"where": ["price"]}, r"data.where: 'price' is no condition"),
        ("", {"where": ["price > x"]}, r"data.where: 'price > x': 'x' is no number"),
        ("", {"where": ["item ~ ("]}, r"data.where: '\(' is no regular expression"),
        ("", {"where": ["cost > 1"]}, r"data.path: log.csv has no column 'cost'; it has user, item"),
        ("", {"path": "none.csv"}, r"data.path: .*none.csv does not exist; .* --data"),
        ("u,a\n", {}, r"data.path: log.csv, line 2: 2 fields, expected 7"),
        ("u,a,1,,,,\n", {"core": 2}, r"data.core: no user and item with 2 each is left of 1 pairs; lower it"),
    ],
)
def test_message_names_the_key_the_line_and_the_way_out(
    tmp_path: Path, lines: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, lines, **changes)
