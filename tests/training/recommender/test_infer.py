"""A config drafted from files whose columns are known."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import made_logs
import pyarrow
import pytest
import tiny_shop
from hypothesis import given
from hypothesis import strategies as st
from made_logs import pairs
from pyarrow import parquet

from training.config import parse_config
from training.errors import ConfigError
from training.recommender.data.columns import guess_kind
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.roles import find_roles, tokens
from training.recommender.data.sample import read
from training.recommender.infer import infer
from training.recommender.settings import RecommenderRun

GENRES = [["Drama", "War"], ["War", "Short"], ["Drama", "Short"], ["Drama", "War", "Short"]]


def drafted(*paths: Path, **given: str) -> RecommenderRun:
    run = parse_config(tomllib.loads(infer(paths, given)))
    assert isinstance(run, RecommenderRun)
    return run


def test_a_drafted_config_reads_its_log(tmp_path: Path) -> None:
    """The tiny shop: title, price and tags stand with the item, the country with the user.

    Three prices are codes, and three combinations of tags say no more than three names.
    """
    tiny_shop.write_log(tmp_path / "tiny.csv")
    with (tmp_path / "tiny.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    header[2] = "timestamp"
    with (tmp_path / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [header, *([*row[:2], str(int(row[2]) + 10**9), *row[3:]] for row in rows)]
        )

    run = drafted(tmp_path / "log.csv")

    assert (run.data.user, run.data.item, run.data.time) == ("user", "item", "timestamp")
    kinds = {feature.name: feature.kind for feature in run.item}
    assert kinds == {"id": "category", "title": "text", "price": "category", "tags": "category"}
    assert {feature.name: feature.kind for feature in run.user} == {
        "history": "history",
        "country": "category",
    }
    assert RecommenderExamples(run, tmp_path).item_schema.features


def rows_of_shop(directory: Path) -> list[dict[str, Any]]:
    """With times that look like times, prices that are numbers, and tags as lists."""
    tiny_shop.write_log(directory / "tiny.csv")
    with (directory / "tiny.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        row
        | {
            "time": datetime.fromtimestamp(10**9 + int(row["time"])),
            "price": float(row["price"]),
            "tags": row["tags"].split("|"),
        }
        for row in rows
    ]


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet", "log.tsv"])
def test_a_log_may_be_of_another_kind_of_file(tmp_path: Path, name: str) -> None:
    """The draft is the same but for the name, and reads the log."""
    rows = rows_of_shop(tmp_path)
    text = [row | {"time": str(row["time"]), "tags": "|".join(row["tags"])} for row in rows]
    if name == "log.jsonl":
        (tmp_path / name).write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
    elif name == "log.parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / name)
    else:
        lines = [list(text[0]), *([str(value) for value in row.values()] for row in text)]
        (tmp_path / name).write_text("\n".join("\t".join(line) for line in lines))
    with (tmp_path / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(text[0]))
        writer.writeheader()
        writer.writerows(text)

    assert infer([tmp_path / name]).replace(name, "log.csv") == infer([tmp_path / "log.csv"])
    assert RecommenderExamples(drafted(tmp_path / name), tmp_path).item_schema.features


def test_file_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.xlsx").write_text("x")
    with pytest.raises(ConfigError, match=r"log.xlsx: rows are read from .csv, .tsv, .jsonl, .parquet"):
        infer([tmp_path / "log.xlsx"])


def test_parquet_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_text("x")
    with pytest.raises(ConfigError, match=r"log.parquet: it is no sound Parquet file"):
        infer([tmp_path / "log.parquet"])


def test_items_may_have_a_file_of_their_own(tmp_path: Path) -> None:
    log = ["user_id,movie_id,rating,timestamp"]
    log += [f"{n % 9},{n % 7:07},{n % 10},{1_381_945_744 + n}" for n in range(200)]
    films = ["movie_id,title,year,genres"]
    films += [f"{n:07},The Long Film {n},{1900 + n},{'|'.join(GENRES[n % 4])}" for n in range(60)]
    (tmp_path / "log.csv").write_text("\n".join(log))
    (tmp_path / "films.csv").write_text("\n".join(films))

    run = drafted(tmp_path / "films.csv", tmp_path / "log.csv")

    assert (run.data.path, run.data.items, run.data.time) == ("log.csv", "films.csv", "timestamp")
    assert {f.name: f.kind for f in run.item} == {
        "id": "category",
        "title": "text",
        "year": "number",
        "genres": "bag",
    }
    assert [f.name for f in run.item if f.bigrams] == ["title"]
    assert "# rating: left out" in infer([tmp_path / "log.csv", tmp_path / "films.csv"])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["2011-12-01 08:26:00", "2011-12-02"], "time"),
        (
            [
                f"{a} {b}"
                for a in ("red", "blue", "old", "new", "tall")
                for b in ("cup", "hat", "pan", "fork", "rug")
            ],
            "text",
        ),
        ([f"{a} valley" for a in ("napa", "rhine", "loire")] * 20, "category"),
        ([str(n / 7) for n in range(50)], "number"),
        (["1", "2", "3"] * 9, "category"),
        (["a|b", "b|c", "a|c", "a", "a|b|c"], "bag"),
        ([f"SET OF {n} CAKE TINS" for n in range(50)], "text"),
        (["SET, BLUE", "SET, RED"], "category"),
        (["", " "], "category"),
    ],
)
def test_kinds_by_values(values: list[str], kind: str) -> None:
    assert guess_kind("x", values).kind == kind


@given(st.text(max_size=20), st.lists(st.text(max_size=12), max_size=8))
def test_any_column_gets_a_kind_and_a_reason(column: str, values: list[str]) -> None:
    assert guess_kind(column, values).reason


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "no column repeats as users and items do"),
        ("a,a\n1,2\n", "has two columns 'a'; rename one"),
        ("user,item,time\n", "has no rows"),
        ("user,item,time\n1,2\n", "x.csv has no rows; read 1 rows of x.csv, used 0, left out 1"),
    ],
)
def test_what_is_no_log_is_said_so(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(content)

    with pytest.raises(ConfigError, match=message):
        infer([tmp_path / "x.csv"])


@pytest.mark.parametrize(
    ("made", "roles", "where", "features"),
    [
        (
            made_logs.wines,
            ("UserID", "WineID", "Date"),
            ["Rating >= 3.5"],
            {"id": "category", "wine_name": "text", "harmonize": "bag", "abv": "number"},
        ),
        (
            made_logs.games,
            ("user", "game", "time"),
            ["rating >= 7"],
            {"id": "category", "price": "number", "birth": "time"},
        ),
        (made_logs.nameless, ("a", "b", "c"), [], {"id": "category"}),
        (made_logs.visits, ("visitorid", "itemid", "ts"), [], {"id": "category", "segment": "category"}),
        (
            made_logs.orders,
            ("who", "sku", "placed"),
            ["qty > 0"],
            {"id": "category", "unit_price": "number"},
        ),
    ],
)
def test_roles_are_found_by_content(
    made: Callable[[Path], list[Path]],
    roles: tuple[str, str, str],
    where: list[str],
    features: dict[str, str],
    tmp_path: Path,
) -> None:
    """And training reads each draft as it stands."""
    paths = made(tmp_path)
    draft = infer(paths[::-1])
    run = drafted(*paths)

    assert (run.data.user, run.data.item, run.data.time) == roles
    assert run.data.where == where
    assert {f.name: f.kind for f in (*run.item, *run.user) if f.kind != "history"} == features
    assert "Training does not take it" not in draft
    assert RecommenderExamples(run, tmp_path).known.size


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (lambda n: f"Jan {1 + n % 28:02}, 2021", r"times \(month by name\), such as Jan 01, 2021"),
        (lambda n: f"{1 + n % 28} Jan 2021 9:{n % 60:02}", r"times \(month by name\)"),
        (lambda n: f"2021-1-{1 + n % 28}", r"times \(ISO 8601\)"),
        (lambda n: str(2001 + n * n % 11), "years alone, so rows of one year are in the order of the file"),
    ],
)
def test_times_are_found_in_the_notations_that_training_reads(
    time: Callable[[int], str], reason: str, tmp_path: Path
) -> None:
    """A year that goes with the item is no time; one that moves is, where nothing else is."""
    header = ["user", "item", "when", "year"]
    rows = [(user, f"p{item}", time(n), 1990 + item % 9) for n, (user, item) in enumerate(pairs())]
    log = made_logs.write(tmp_path / "log.csv", header, rows)

    draft = infer([log])
    run = drafted(log)

    assert run.data.time == "when"
    assert re.search(reason, draft)
    assert RecommenderExamples(run, tmp_path).known.size


def test_case_that_means_nothing_is_folded(tmp_path: Path) -> None:
    """Every fifth row has another case: of the ids, and of the users' colours, not of the codes A and a."""
    header = ["user", "item", "time", "colour", "size"]
    rows = [
        (
            f" {user}" if n % 3 else user,
            f"p{item}" if n % 5 else f"P{item}",
            f"2021-1-{1 + n % 28}",
            colour,
            size,
        )
        for n, (user, item) in enumerate(pairs())
        for colour in [["red", "blue", "Red"][user % 3]]
        for size in ["ABCDEFGHIJKLMNOPQRSTUVWXYZa"[user % 27]]
    ]
    log = made_logs.write(tmp_path / "log.csv", header, rows)

    run = drafted(log)

    assert f"# {len({user for user, _ in pairs()})} values" in infer([log])  # without the blanks around them
    assert run.data.uppercase_items
    assert {one.name: one.uppercase for one in run.user if one.kind == "category"} == {
        "colour": True,
        "size": False,
    }


def test_one_odd_id_is_a_bad_row(tmp_path: Path) -> None:
    """As pandas writes a lacking one: left out by a condition that is proposed."""
    lines = [f"{n % 40}.0,{n * 7 % 60},{1_381_945_744 + n}" for n in range(2400)]
    (tmp_path / "log.csv").write_text("\n".join(["client,article,time", *lines, "nan,3,1381945744"]))

    run = drafted(tmp_path / "log.csv")

    assert (run.data.user, run.data.item) == ("client", "article")
    assert run.data.where == ["client != nan"]


def test_a_person_knows_better(tmp_path: Path) -> None:
    [log] = made_logs.nameless(tmp_path)
    run = drafted(log, user="b", item="a")

    assert (run.data.user, run.data.item, run.data.time) == ("b", "a", "c")


def test_events_are_proposed_and_not_chosen(tmp_path: Path) -> None:
    draft = infer(made_logs.visits(tmp_path))

    assert "# perhaps event == buy: of view " in draft


def test_a_draft_that_training_refuses_says_so(tmp_path: Path) -> None:
    """Two dates that may begin with the day or the month, in every row."""
    rows = [(n % 9, n % 7, f"0{1 + n % 9}/0{1 + n % 8}/2023") for n in range(300)]
    log = made_logs.write(tmp_path / "log.csv", ["user", "item", "date"], rows)

    draft = infer([log])

    assert draft.startswith("# Training does not take it as it stands: ")
    assert "day_first" in draft.splitlines()[0]


def test_little_is_left_of_a_small_log_by_the_usual_core(tmp_path: Path) -> None:
    rows = [(n % 40, n % 31, 1_600_000_000 + n) for n in range(120)]
    log = made_logs.write(tmp_path / "log.csv", ["user", "item", "time"], rows)

    assert drafted(log).data.core == 3


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (["user", "item"], lambda n: (n % 9, n % 7), "no column holds times"),
        (["user", "item", "since"], lambda n: (n % 9, n % 7, f"2020-01-0{1 + n % 9}"), "no time of what was"),
        (["order", "date"], lambda n: (n, "2020-01-01"), "no column repeats"),
        (["user", "team", "date"], lambda n: (n % 9, n % 3, f"2020-01-{n % 28 + 1:02}"), "are many to many"),
    ],
)
def test_each_lack_of_a_log_has_its_own_sentence(
    header: list[str], row: Callable[[int], tuple[object, ...]], message: str, tmp_path: Path
) -> None:
    log = made_logs.write(tmp_path / "log.csv", header, [row(n) for n in range(200)])

    with pytest.raises(ConfigError, match=message):
        infer([log])


def test_a_wide_log_takes_no_more_time_than_a_long_one(tmp_path: Path) -> None:
    """Of 300 columns that all might be users and items few are compared; all pairs would take minutes."""
    rows = [(u, f"p{i}", 1_600_000_000 + n, *([u % 7, i % 5] * 150)) for n, (u, i) in enumerate(pairs())]
    header = ["user", "item", "time", *(f"c{n}" for n in range(300))]
    log = made_logs.write(tmp_path / "log.csv", header, rows[:300])

    file = read(log)
    roles = find_roles(file.table, file.guesses, {})

    assert (roles.user.column, roles.item.column, roles.time.column) == ("user", "item", "time")


def test_names_of_items_are_their_text_too(tmp_path: Path) -> None:
    rows = [
        (f"user{user}@example.com", f"The Great {'ABCD'[item % 4]} Game Part {item}", 1_600_000_000 + n)
        for n, (user, item) in enumerate(pairs())
    ]
    run = drafted(made_logs.write(tmp_path / "log.csv", ["email", "Game Title", "played"], rows))

    assert {f.name: f.kind for f in run.item} == {"id": "category", "game_title": "text"}
    spec = RecommenderExamples(run, tmp_path).item_schema.features[1]
    assert {"great", "game"} <= set(spec.vocabulary)


def test_a_column_that_cannot_be_read_costs_no_row(tmp_path: Path) -> None:
    """Bytes that are no text, and objects; and numbers too large to be scaled."""
    table = {
        "user": [user for user, _ in pairs()],
        "item": [item for _, item in pairs()],
        "time": [1_600_000_000 + n for n, _ in enumerate(pairs())],
        "photo": [b"\xff\xd8" for _ in pairs()],
        "geo": [{"lat": 1.0} for _ in pairs()],
        "size": [item * 1e300 for _, item in pairs()],
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "log.parquet")

    draft = infer([tmp_path / "log.parquet"])

    assert "Training does not take it" not in draft
    for left_out in (
        "photo: left out, photo cannot be read",
        "geo: left out, an object",
        "size: left out, it has",
    ):
        assert f"# {left_out}" in draft


def test_ids_that_stand_for_nothing_are_left_out_by_a_condition(tmp_path: Path) -> None:
    rows = [(user or "NaN", f"p{item}", 1_600_000_000 + n) for n, (user, item) in enumerate(pairs())]
    run = drafted(made_logs.write(tmp_path / "log.csv", ["user", "item", "time"], rows))

    assert run.data.where == ["user != NaN"]
    assert "NaN" not in RecommenderExamples(run, tmp_path).log.users


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["sku", "title"], "items.csv: 'sku' seems to be the 'item' of log.csv; call both the same"),
        (["a", "b"], "the first line looks like a row"),
    ],
)
def test_a_file_beside_a_log_says_what_it_lacks(header: list[str], message: str, tmp_path: Path) -> None:
    rows = [(user, f"p{item}", 1_600_000_000 + n) for n, (user, item) in enumerate(pairs())]
    log = made_logs.write(tmp_path / "log.csv", ["user", "item", "time"], rows)
    titles = [(f"p{n}", f"a thing called {n}") for n in range(40)]
    items = made_logs.write(tmp_path / "items.csv", titles[1] if header == ["a", "b"] else header, [*titles])

    with pytest.raises(ConfigError, match=message):
        infer([log, items])


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (lambda n: "2020-01-01", "'when' is the same in every row"),
        (lambda n: f"2020-01-0{1 + n % 9}" if n % 4 else "never", "75% of 'when' are, but not 'never'"),
        (lambda n: f"Janner {1 + n % 28}, 2020", "0% of 'when' are, but not 'Janner 1, 2020'"),
    ],
)
def test_a_column_that_is_nearly_of_times_is_named(
    time: Callable[[int], str], message: str, tmp_path: Path
) -> None:
    rows = [(user, f"p{item}", time(n)) for n, (user, item) in enumerate(pairs())]

    with pytest.raises(ConfigError, match=message):
        infer([made_logs.write(tmp_path / "log.csv", ["user", "item", "when"], rows)])


def test_a_role_that_is_no_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--user 'nobody' is no column; there are a, b, c, d"):
        infer(made_logs.nameless(tmp_path), {"user": "nobody"})


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("CustomerID", ["customer", "id"]),
        ("wineid", ["wine", "id"]),
        ("stockcode", ["stock", "code"]),
        ("users", ["user"]),
        ("HTTPUserKey", ["http", "user", "key"]),
    ],
)
def test_names_are_taken_apart(column: str, words: list[str]) -> None:
    assert tokens(column) == words
