"""Which of two versions that share an alias answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine import Loaded, Model, Registry, SpaceMismatch, UnknownVersion
from app.engine.shares import chosen

KEYS = [f"user-{number}" for number in range(10_000)]
POINT = 100  # keys of these are one percent

percent = st.integers(1, 99)


def of(newer: int) -> Mapping[str, int]:
    return {"9": 100 - newer, "10": newer}


@pytest.mark.parametrize("newer", [1, 10, 25, 50, 90, 99])
def test_the_share_is_kept_within_one_point(newer: int) -> None:
    count = sum(chosen(of(newer), "text/champion", key) == "10" for key in KEYS)

    assert abs(count - newer * POINT) <= POINT


@given(shares=st.lists(percent, min_size=2, max_size=6), key=st.text(min_size=1), salt=st.text())
def test_no_key_flips_back_while_the_share_grows(shares: list[int], key: str, salt: str) -> None:
    versions = [chosen(of(newer), salt, key) for newer in sorted(shares)]

    assert versions == sorted(versions, key=int)


@given(newer=percent, key=st.text(), salt=st.text())
def test_the_order_in_which_they_are_written_is_nothing(newer: int, key: str, salt: str) -> None:
    shares = of(newer)

    assert chosen(shares, salt, key) == chosen(dict(reversed(shares.items())), salt, key)


def test_without_a_key_the_larger_share_answers() -> None:
    assert [chosen(of(newer), "", "") for newer in (10, 50, 51)] == ["9", "9", "10"]


def test_not_the_same_callers_are_the_first_of_every_alias() -> None:
    first = [{key for key in KEYS if chosen(of(10), f"text/{alias}", key) == "10"} for alias in ("a", "b")]

    assert len(first[0] & first[1]) < 2 * POINT


def test_towers_of_a_pair_choose_alike(registry: Registry) -> None:
    one = registry.find("shop-user")
    towers = {
        name: Model(
            name, "1", {"1": one, "2": one}, aliases={"champion": {"1": 50, "2": 50}}, leader="shop-item"
        )
        for name in ("shop-item", "shop-user")
    }
    for key in KEYS[:200]:
        assert towers["shop-item"].behind("champion", key) == towers["shop-user"].behind("champion", key)


@pytest.fixture
def aliased(registry: Registry) -> Registry:
    """Version 1 is current; 2, of another space, is the challenger."""
    one = registry.find("text")
    manifest = one.manifest.model_copy(update={"version": "2", "space": "sp_other"})
    encoder = type("Other", (), {"manifest": manifest})()
    other = replace(one, encoder=encoder)
    aliases = {"champion": {"1": 100}, "challenger": {"2": 100}, "1": {"2": 100}}
    return Registry(
        {"text": Model("text", "1", {"1": one, "2": other}, aliases=aliases)}, {"mine": "text/challenger"}
    )


def found(registry: Registry, name: str, **wants: str) -> str:
    loaded: Loaded = registry.find(name, **wants)  # type: ignore[arg-type]
    return loaded.manifest.version


def test_an_alias_is_found_wherever_a_version_is(aliased: Registry) -> None:
    assert found(aliased, "text", version="challenger") == "2"
    assert found(aliased, "text/challenger") == found(aliased, "mine") == "2"
    assert found(aliased, "text/current") == found(aliased, "text", version="current") == "1"
    assert found(aliased, "text", version="1") == "1"  # a version's own name comes first
    with pytest.raises(UnknownVersion, match="aliases: champion, challenger"):
        aliased.find("text", version="absent")


def test_who_is_pinned_to_a_space_gets_the_version_that_has_it(aliased: Registry) -> None:
    """An alias moves, so another version may answer in its place; one that is named itself may not."""
    old = aliased.find("text").manifest.space

    assert found(aliased, "text", version="challenger", space=old) == "1"
    assert found(aliased, "text", version="champion", space="sp_other") == "2"
    with pytest.raises(SpaceMismatch):
        aliased.find("text", version="2", space=old)
    with pytest.raises(SpaceMismatch):
        aliased.find("text", version="champion", space="sp_none")
