"""Popularity of now: one component, refreshed without moving the space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_shop

from bundle import Store
from bundle.preprocess.features import Features
from bundle.publish import publish
from training.config import parse_config
from training.errors import ConfigError
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.recent import recent_users
from training.recommender.rules import check
from training.recommender.settings import RecommenderRun
from training.recommender.task import RecommenderTask

WEIGHT, SCALE = 0.5, 4.0
EXACT = 1e-5


def run_of(**recent: Any) -> RecommenderRun:
    towers = tiny_shop.config()["towers"] | {
        "item_dim": 17,
        "initialisation": {"ease_lambda": 10.0, "scale": SCALE},
        "recent": {"days": 2, "weight": WEIGHT} | recent,
    }
    run = parse_config(tiny_shop.config(towers=towers))
    assert isinstance(run, RecommenderRun)
    return run


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shop")
    tiny_shop.write_log(directory / "log.csv")
    return directory


@pytest.fixture(scope="module")
def task(shop: Path) -> RecommenderTask:
    return RecommenderTask(run_of(), shop)


@pytest.fixture(scope="module")
def models(task: RecommenderTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    publish(directory, task.drafts({}))
    return directory


def test_only_the_last_component_follows_the_number(task: RecommenderTask, models: Path) -> None:
    """By weight x scale x log(1 + users), for known items and for new ones."""
    items = Store(models).load("shop-item")
    for record in ({"id": "g1"}, {"id": "new", "title": "garden novelty"}):
        none, some = items.encode([Features(record | {"recent": users}) for users in (0, 20)])

        assert np.abs(none - some)[:-1].max() == 0.0
        assert some[-1] - none[-1] == pytest.approx(WEIGHT * SCALE * np.log(21), abs=EXACT)


def test_schema_tells_days_and_weight(models: Path) -> None:
    described = Store(models).load("shop-item").preprocessor.schema()["properties"]["recent"]["description"]

    assert "in the last 2 days; adds 2 x log(1 + users) to the last component" in described


def test_card_tells_what_the_start_was_chosen_among(models: Path) -> None:
    card = (models / "shop-user" / "1" / "README.md").read_text()

    assert "What the start was chosen among:" in card
    assert "popularity_power: " in card


def test_index_can_be_patched_by_what_the_schema_says(shop: Path, tmp_path: Path) -> None:
    """However many digits the weight has."""
    publish(tmp_path, RecommenderTask(run_of(weight=0.1234567), shop).drafts({}))
    items = Store(tmp_path).load("shop-item")
    words = items.preprocessor.schema()["properties"]["recent"]["description"]
    weight = float(words.split("adds ")[1].split(" x")[0])

    before, after = items.encode([Features({"id": "g1", "recent": users}) for users in (3, 4000)])

    assert after[-1] - before[-1] == pytest.approx(weight * np.log(4001 / 4), rel=1e-6)


def test_users_meet_it_with_1(models: Path) -> None:
    users = Store(models).load("shop-user").encode([Features({}), Features({"history": ["g1", "k2"]})])

    assert users[:, -1].tolist() == [1.0, 1.0]


def test_without_the_number_training_knew_it_and_others_stand_at_the_mean(
    task: RecommenderTask, models: Path
) -> None:
    items = Store(models).load("shop-item")
    known = task.examples.log.items[task.examples.known[0]]
    counted = task.examples.recent_users(2)[0]

    told, left_out = items.encode(
        [Features({"id": known, "recent": float(counted)}), Features({"id": known})]
    )
    new, none = items.encode([Features({"id": "new"}), Features({"id": "new", "recent": 0})])

    assert told == pytest.approx(left_out, abs=EXACT)
    counts = task.examples.recent_users(2)
    mean = WEIGHT * SCALE * float(np.log1p(counts).mean())
    assert new - none == pytest.approx([0.0] * (len(new) - 1) + [mean], abs=EXACT)


def test_days_are_counted_back_from_the_last_row(task: RecommenderTask) -> None:
    """The last two days of eight: day 5, 6 and 7, of whoever was trained on."""
    log, rows = task.examples.log, np.concatenate(task.examples.training_rows())
    last = log.time[rows].max()

    found = recent_users(log, rows, now=last, days=2)

    late = rows[log.time[rows] >= last - 2 * 86_400]
    assert found.sum() == len(late) > 0
    assert task.examples.recent_users(2).sum() == len(late)


def test_users_of_many_moments_are_measured_without_it(task: RecommenderTask, shop: Path) -> None:
    """Each stands at a moment of its own, so no item is popular now; by protocol `time` all stand at one."""
    examples = task.examples
    assert {one.values["recent"] for one in examples.candidates(examples.validation())} == {0}

    run = run_of()
    in_time = run.model_copy(update={"data": run.data.model_copy(update={"protocol": "time", "core": 1})})
    later = RecommenderExamples(in_time, shop)
    assert all("recent" not in one.values for one in later.candidates(later.test()))


@pytest.mark.parametrize(
    ("towers", "message"),
    [
        ({"recent": {}}, "recent needs \\[towers.initialisation\\]"),
        ({"initialisation": {}, "item_bias": False, "recent": {}}, "and item_bias"),
    ],
)
def test_it_needs_what_it_stands_on(towers: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(tiny_shop.config(towers=towers))


def test_its_name_may_not_be_taken(tmp_path: Path) -> None:
    tiny_shop.write_log(tmp_path / "log.csv")
    run = run_of(name="price")
    check(run)

    with pytest.raises(ConfigError, match="an item feature is called 'price' already"):
        RecommenderTask(run, tmp_path)
