"""What is asked for tells nothing of itself: neither of a measured user nor of an item, in any protocol.

Every row of this log gives away its own pair: `taste`, of the user, is the item's group, and `buyers`, of the
item, is the user. An encoder that could read either off the targets would be perfect.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_shop

from bundle.preprocess.features import Features
from training.config import parse_config
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.held_out import EvaluationSplit
from training.recommender.settings import RecommenderRun

USER = [
    {"name": "history", "kind": "history"},
    {"name": "taste", "kind": "category"},
    {"name": "last", "kind": "number"},
]
ITEM = [
    {"name": "id", "kind": "category", "column": "item"},
    {"name": "buyers", "kind": "bag"},
    {"name": "title", "kind": "text"},
]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Customers who buy of all groups alike, at times of their own."""
    directory = tmp_path_factory.mktemp("leaky")
    random = np.random.default_rng(0)
    with (directory / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "time", "taste", "last", "buyers", "title"])
        for user in range(80):
            for number in random.choice(40, size=10, replace=False):
                time = int(random.integers(0, 10_000))
                writer.writerow(
                    [f"u{user}", f"i{number}", time, f"g{number}", time, f"u{user}", f"thing {number}"]
                )
    return directory


def examples_of(log: Path, **data: Any) -> RecommenderExamples:
    columns = {"path": "log.csv", "user": "user", "item": "item", "time": "time", "core": 2}
    run = parse_config(tiny_shop.config(user=USER, item=ITEM, data=columns | data))
    assert isinstance(run, RecommenderRun)
    return RecommenderExamples(run, log)


def splits(log: Path) -> dict[str, tuple[RecommenderExamples, EvaluationSplit]]:
    """Everything that is ever measured."""
    users, later, cold = (
        examples_of(log),
        examples_of(log, protocol="time"),
        examples_of(log, cold_items=0.2),
    )
    return {
        "S": (users, users.test()),
        "S, validation": (users, users.validation()),
        "T": (later, later.test()),
        "T, validation": (later, later.validation()),
        "in time": (users, users.validation_in_time().held_out),
        "C": (cold, cold.new_items()),
        "C, validation": (cold, cold.validation_of_new_items().held_out),
    }


@pytest.mark.parametrize(
    "name", ["S", "S, validation", "T", "T, validation", "in time", "C", "C, validation"]
)
def test_features_of_a_user_are_those_of_its_history(log: Path, name: str) -> None:
    examples, held_out = splits(log)[name]

    assert len(held_out.users) > 3
    for user, targets in zip(held_out.users, held_out.targets, strict=True):
        shown = {entry["id"] for entry in user.values["history"]}
        asked = {examples.log.items[held_out.candidates[place]] for place in targets}
        tastes = {f"g{item[1:]}" for item in shown}
        assert not shown & asked
        assert user.values["taste"] in tastes  # every item is a group of its own here
        times = [entry["time"] for entry in user.values["history"]]
        assert user.values["last"] == np.median(times)


def buyers_of(examples: RecommenderExamples) -> dict[str, set[str]]:
    """Whom each item's record names, one of its buyers."""
    return {
        name: set(record.get("buyers", []))
        for name, record in zip(examples.log.items, examples.item_records, strict=True)
    }


@pytest.mark.parametrize("name", ["S", "S, validation", "T", "C"])
def test_records_of_items_are_never_those_of_a_target(log: Path, name: str) -> None:
    """Each names one buyer; nobody is asked for an item that names them."""
    examples, held_out = splits(log)[name]
    named = buyers_of(examples)

    for user, targets in zip(held_out.numbers, held_out.targets, strict=True):
        asked = [examples.log.items[held_out.candidates[place]] for place in targets]
        assert not any(examples.log.users[user] in named[item] for item in asked)


def test_cold_item_is_told_by_its_first_row_alone(log: Path) -> None:
    examples = examples_of(log, cold_items=0.2)

    first: dict[str, str] = {}
    for row in range(len(examples.log.item)):
        first.setdefault(
            examples.log.items[examples.log.item[row]], examples.log.users[examples.log.user[row]]
        )

    for number in examples.cold:
        name = examples.log.items[number]
        assert buyers_of(examples)[name] == {first[name]}


def test_hidden_entries_of_a_step_tell_nothing_of_their_user(log: Path) -> None:
    examples = examples_of(log)
    positions = np.arange(5)
    histories = examples.users.collate(examples.training(positions))["history"]
    hidden = np.zeros(histories.shape, dtype=np.bool_)
    hidden[:, :9] = True  # all but the oldest

    found = examples.users.collate(examples.training_records(positions, hidden))["taste"]

    rows = [examples.training_rows()[position][0] for position in positions]
    oldest = [Features({"taste": f"g{examples.log.items[examples.log.item[row]][1:]}"}) for row in rows]
    assert found.tolist() == examples.users.collate(examples.users.prepare(oldest))["taste"].tolist()


def test_split_in_time_asks_for_what_came_after_one_moment(log: Path) -> None:
    examples = examples_of(log)

    found = examples.validation_in_time()

    rows = np.concatenate(found.histories)
    assert examples.log.time[rows].max() == found.now
    assert len(rows) == pytest.approx(0.85 * sum(map(len, examples.training_rows())), abs=1)
    assert found.held_out.left_out + len(found.held_out.users) == len(examples.split.train)
    assert {user.now for user in found.held_out.users} == {found.now}


def test_log_without_a_later_part_has_nobody_to_choose_by(tmp_path: Path) -> None:
    """All at one time: nobody is measured, and nothing is NaN."""
    lines = [f"u{user},i{item},5,g,1,b,t" for user in range(20) for item in range(4)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time,taste,last,buyers,title", *lines]))

    found = examples_of(tmp_path).validation_in_time()

    assert found.held_out.users == []
    assert found.held_out.left_out == 16


def test_new_items_to_choose_by_are_others_than_those_to_report(log: Path) -> None:
    examples = examples_of(log, cold_items=0.2)

    found = examples.validation_of_new_items(0.25)

    assert not {*found.held_out.candidates} & {*examples.cold}
    kept: dict[int, int] = defaultdict(int)
    for rows in found.histories:
        for item in examples.log.item[rows]:
            kept[int(item)] += 1
    assert not {*kept} & {*found.held_out.candidates, *examples.cold}
