"""From what a config leaves out to a config with nothing left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_shop

from training.config import parse_config
from training.recommender.choice.resolve import DIMENSIONS, Choice, half_lives, resolve
from training.recommender.data.examples import RecommenderExamples
from training.recommender.settings import RecommenderRun


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shop")
    tiny_shop.write_log(directory / "log.csv")
    return directory


def choice_of(shop: Path, towers: dict[str, Any], **data: Any) -> Choice:
    run = parse_config(tiny_shop.config(towers=towers, data=tiny_shop.config()["data"] | data))
    assert isinstance(run, RecommenderRun)
    return resolve(run, RecommenderExamples(run, shop))


@pytest.mark.parametrize("protocol", ["users", "time"])
def test_all_that_is_left_out_is_chosen(shop: Path, protocol: str) -> None:
    choice = choice_of(shop, {"initialisation": {}, "recent": {}}, protocol=protocol)

    towers = choice.run.towers
    assert towers.initialisation is not None
    assert towers.initialisation.model_dump(exclude={"content_ridge", "content_own"}).keys() == {
        name for name, value in towers.initialisation if value is not None
    }
    assert towers.recent is not None
    assert (towers.recent.days is None, towers.recent.weight is None) == (False, False)
    assert (
        towers.user_layers.output_dim == towers.item_layers.output_dim == DIMENSIONS[0]
    )  # enough for 36 items
    assert towers.width >= 2 * (DIMENSIONS[0] - 1) + 1
    assert parse_config(choice.run.model_dump()) == choice.run


def test_what_the_config_gives_is_kept(shop: Path) -> None:
    initialisation = {"ease_lambda": 7.0, "itemcf": 0.3, "shrink": 2.0, "popularity": 0.0, "scale": 3.0}
    towers = {
        "initialisation": initialisation,
        "half_lives_days": [11.0],
        "item_dim": 17,
        "user": {"output_dim": 9},
        "item": {"output_dim": 9},
        "recent": {"days": 3, "weight": 0.5},
    }

    choice = choice_of(shop, towers)

    assert (
        choice.run.towers.model_dump(exclude_unset=False).items()
        >= {
            "half_lives_days": [11.0],
            "item_dim": 17,
            "recent": {"name": "recent", "days": 3, "weight": 0.5},
        }.items()
    )
    found = choice.run.towers.initialisation
    assert found is not None
    assert found.model_dump().items() >= initialisation.items()
    assert {one.setting for one in choice.tried} == {"content_weight", "popularity_power"}


def test_every_candidate_is_told_with_its_figure_and_one_is_chosen(shop: Path) -> None:
    lines = list(choice_of(shop, {"initialisation": {}}).lines())

    assert "users, by user" in lines[0]
    assert any(line.startswith("  ease_lambda: ") and line.count("[") >= 1 for line in lines)


def test_recent_popularity_that_is_worth_nothing_is_said(shop: Path) -> None:
    towers = {"initialisation": {"ease_lambda": 7.0}, "recent": {"weight": 0.0}}

    assert any("recent decides where nothing else does" in line for line in choice_of(shop, towers).lines())


def test_few_users_choose_nothing(shop: Path, tmp_path: Path) -> None:
    """Eleven users of the log, whom chance would choose for."""
    rows = (shop / "log.csv").read_text().splitlines()
    (tmp_path / "log.csv").write_text("\n".join(rows[: 1 + 11 * tiny_shop.BASKET]) + "\n")

    choice = choice_of(tmp_path, {"initialisation": {"ease_lambda": 7.0}}, core=1)

    assert "fewer than 20" in choice.measured
    assert choice.tried == []
    found = choice.run.towers.initialisation
    assert found is not None
    assert (found.ease_lambda, found.itemcf) == (7.0, 0.0)


@pytest.mark.parametrize("span_days", [0.0, 0.5, 30.0, 4000.0])
def test_half_lives_are_of_the_logs_own_time(span_days: float) -> None:
    found = half_lives(span_days)

    assert found[0] == ()
    singles = [one[0] for one in found if len(one) == 1]
    assert singles == sorted(singles)
    assert all(one > 0 for values in found for one in values)
    if span_days >= 30.0:
        assert singles[-1] < span_days < max(max(one, default=0.0) for one in found)
