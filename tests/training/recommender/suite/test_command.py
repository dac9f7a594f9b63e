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
from training.recommender.suite.command import protocols_of, report, run


def shop_run(**changes: Any) -> RecommenderRun:
    train = tiny_shop.config()["train"] | {"epochs": 6}
    settings = parse_config(tiny_shop.config(**({"train": train} | changes)))
    assert isinstance(settings, RecommenderRun)
    return settings


def test_all_protocols_are_measured_beside_their_rivals(shop: Path, tmp_path: Path) -> None:
    rows = run(shop_run(), data=shop, split="test", out=tmp_path / "out", folds=2)

    methods = {p: {row.method for row in rows if row.protocol == p} for p in "STC"}
    assert (
        methods["S"] == methods["T"] == {"encoder", "popularity", "itemcf", "ials", "ease", "ease, recency"}
    )
    assert methods["C"] == {"encoder", "tfidf"}
    users = {row.users for row in rows if row.protocol == "S"}
    assert users == {18}  # two tenths of 90
    by = {(row.protocol, row.figure, row.method): row for row in rows}
    above = by["S", "ndcg@100", "popularity"].encoder_above
    assert above is not None
    assert above.low > 0.1
    assert by["S", "ndcg@100", "encoder"].encoder_above is None
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(written["rows"]) == len(rows)
    assert written["chosen"]["S"]["ease"]["lambda"]
    assert f"| S | recall@20 | ease | {by['S', 'recall@20', 'ease'].value.mean:.4f}" in report(rows)


def test_a_published_pair_is_judged_only_where_it_was_held_out() -> None:
    timed = shop_run(data=tiny_shop.config()["data"] | {"protocol": "time", "cold_items": 0.1})

    assert [one.name for one in protocols_of(shop_run(), 5, published=True)] == ["S"]
    assert [one.name for one in protocols_of(timed, 5, published=True)] == ["T", "C"]


def test_splits_are_dev_and_test(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it must be dev or test"):
        run(shop_run(), data=shop, split="train", out=tmp_path / "out")


def test_content_is_needed_to_judge_cold_items() -> None:
    item = [one for one in tiny_shop.config()["item"] if one["kind"] != "text"]

    assert [one.name for one in protocols_of(shop_run(item=item), 5, published=False)] == ["S", "T"]
