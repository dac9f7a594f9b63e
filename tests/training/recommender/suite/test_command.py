"""`encodery evaluate recommender CONFIG` on the tiny shop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_shop

from training.config import parse_config
from training.errors import ConfigError
from training.recommender.settings import RecommenderRun
from training.recommender.suite.command import Suite, protocols_of, run
from training.recommender.suite.results import ProtocolResults, report


def shop_run(**changes: Any) -> RecommenderRun:
    train = tiny_shop.config()["train"] | {"epochs": 6}
    settings = parse_config(tiny_shop.config(**({"train": train} | changes)))
    assert isinstance(settings, RecommenderRun)
    return settings


USERS = {
    "encoder",
    "popularity",
    "itemcf",
    "ials",
    "ease",
    "ease, recency",
    "ease, recency and popularity now",
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def found(shop: Path, out: Path) -> list[ProtocolResults]:
    return run(Suite(shop_run(), shop, "test", out), folds=(0, 1))


def test_all_protocols_are_measured_beside_their_rivals(found: list[ProtocolResults], out: Path) -> None:
    rows = [row for one in found for row in one.rows]

    methods = {p: {row.method for row in rows if row.protocol == p} for p in "STC"}
    assert methods == {"S": USERS, "T": USERS, "C": {"encoder", "tfidf", "ridge from words to ease"}}
    assert {row.users for row in rows if row.protocol == "S"} == {18}  # two tenths of 90
    by = {(row.protocol, row.figure, row.method): row for row in rows}
    above = by["S", "ndcg@100", "popularity"].encoder_above
    assert above is not None
    assert above.low > 0.1
    assert by["S", "ndcg@100", "encoder"].encoder_above is None
    assert f"| S | recall@20 | ease | {by['S', 'recall@20', 'ease'].value.mean:.4f}" in report(found)


def test_results_say_what_was_chosen_what_it_took_and_who_was_left_out(out: Path, found: Any) -> None:
    written = json.loads((out / "results.json").read_text())

    assert written["schema_version"] == 2
    assert len(written["rows"]) == sum(len(one.rows) for one in found)
    new_users, later = written["protocols"]["S"], written["protocols"]["T"]
    assert new_users["folds"] == [0, 1]
    assert new_users["chosen"]["ease"]["settings"]["lambda"] > 0
    assert set(new_users["seconds"]) == USERS | {"training"}
    assert later["later"]["known"] > 0
    assert sum(one["users"] for one in new_users["by_length"]["encoder"].values()) == 18
    assert 0 < new_users["coverage"]["popularity"] < new_users["coverage"]["encoder"] <= 1


def test_page_names_every_method_and_loads_nothing(out: Path, found: Any) -> None:
    page = (out / "results.html").read_text()

    assert all(method in page for method in USERS)
    assert "garden thing" in page  # what users had, and what they are shown
    assert not any(f"half_lives_days {sign}" in page for sign in "([")  # a value for people
    for outside in ("<script", "http://", "https://", "src=", "@import"):
        assert outside not in page


def test_what_an_earlier_run_has_measured_is_not_measured_again(
    shop: Path, out: Path, found: list[ProtocolResults], capsys: pytest.CaptureFixture[str]
) -> None:
    again = run(Suite(shop_run(), shop, "test", out), protocols=["S"], folds=(1,))

    assert "S, fold 1: measured by an earlier run" in capsys.readouterr().err
    assert [row.users for row in again[0].rows][:1] == [9]
    both = run(Suite(shop_run(), shop, "test", out), protocols=["S"], folds=(0, 1))
    assert both[0].rows == found[0].rows


def test_part_of_another_config_is_measured_anew(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "C-0.json").write_text('{"key": "of another config"}')

    run(Suite(shop_run(), shop, "dev", tmp_path), protocols=["C"])

    assert json.loads((tmp_path / "parts" / "C-0.json").read_text())["key"] != "of another config"


def test_names_of_items_are_escaped(tmp_path: Path) -> None:
    tiny_shop.write_log(tmp_path / "log.csv")
    log = (tmp_path / "log.csv").read_text().replace("garden thing", "<b>garden</b> thing")
    (tmp_path / "log.csv").write_text(log)

    run(Suite(shop_run(), tmp_path, "dev", tmp_path / "out"), protocols=["C"])

    page = (tmp_path / "out" / "results.html").read_text()
    assert "&lt;b&gt;garden" in page
    assert "<b>garden" not in page


def test_a_published_pair_is_judged_only_where_it_was_held_out() -> None:
    timed = shop_run(data=tiny_shop.config()["data"] | {"protocol": "time", "cold_items": 0.1})

    assert [one.name for one in protocols_of(shop_run(), range(5), published=True)] == ["S"]
    assert [one.name for one in protocols_of(timed, range(5), published=True)] == ["T", "C"]


@pytest.mark.parametrize(
    ("split", "protocols", "message"),
    [("train", [], "it must be dev or test"), ("dev", ["X"], "there is no 'X' here, only S, T, C")],
)
def test_splits_and_protocols_that_are_none_are_refused(
    shop: Path, tmp_path: Path, split: str, protocols: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(Suite(shop_run(), shop, split, tmp_path / "out"), protocols=protocols)


def test_content_is_needed_to_judge_cold_items() -> None:
    item = [one for one in tiny_shop.config()["item"] if one["kind"] != "text"]

    assert [one.name for one in protocols_of(shop_run(item=item), range(5), published=False)] == ["S", "T"]
