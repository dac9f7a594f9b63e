"""Aliases of versions, compare-and-set, spaces, and the history of it all."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from bundle import (
    AliasChangedError,
    BundleError,
    Draft,
    SpaceChangeError,
    Store,
    publish,
    remove_alias,
    set_alias,
    switch_current,
)
from bundle.aliases import ALIASES
from bundle.history import HISTORY, read_history
from bundle.manifest import Joined
from bundle.switching import ANY, NONE

WRITERS = 50


@pytest.fixture
def three(models: Path) -> Path:
    """Three versions: `text/3` is of the space of 1, `text/2` of another; of the pair two."""
    publish(models, [tiny.text_draft(seed=1)])
    again = Draft.of(Store(models).read("text", "1"))
    publish(models, [replace(again, description="the same with another card")])
    publish(models, tiny.pair_drafts(seed=1))
    return models


def tag(models: Path, alias: str, name: str = "text") -> str:
    found = Store(models).alias(name, alias)
    assert found is not None
    return found.tag


def test_an_alias_is_what_it_was_set_to_until_it_is_removed(three: Path) -> None:
    store = Store(three)
    assert set_alias(three, "text", "champion", {"1": 100}).shares == {"1": 100}
    assert store.aliases("text") == ["champion"]
    remove_alias(three, "text", "champion")

    assert store.alias("text", "champion") is None
    assert store.aliases("text") == []
    assert store.versions("text") == ["1", "2", "3"]


def test_both_towers_have_an_alias_whichever_was_named(three: Path) -> None:
    store = Store(three)
    set_alias(three, "shop-user", "champion", {"1": 100})
    set_alias(three, "shop-item", "challenger", {"2": 100})

    for name in ("shop-user", "shop-item"):
        assert store.aliases(name) == ["challenger", "champion"]
        assert [
            dict(found.shares) for alias in store.aliases(name) if (found := store.alias(name, alias))
        ] == [
            {"2": 100},
            {"1": 100},
        ]


def test_the_tag_changes_with_every_change_also_to_the_same(three: Path) -> None:
    tags = [set_alias(three, "text", "champion", {version: 100}).tag for version in ("1", "3", "1", "1")]
    tags += [tag(three, "current")]
    switch_current(three, "text", "3")
    tags += [tag(three, "current")]

    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("alias", ["champion", "current"])
def test_of_many_writers_who_saw_the_same_one_wins(three: Path, alias: str) -> None:
    set_alias(three, "text", alias, {"3": 100})
    seen, versions = tag(three, alias), ["1", "3"] * (WRITERS // 2)

    def write(version: str) -> str:
        try:
            set_alias(three, "text", alias, {version: 100}, seen=seen)
        except AliasChangedError:
            return "changed"
        except BundleError as error:
            return "busy" if "somebody else" in str(error) else str(error)
        return "won"

    with ThreadPoolExecutor(WRITERS) as pool:
        found = Counter(pool.map(write, versions))

    assert found["won"] == 1
    assert found["won"] + found["changed"] + found["busy"] == WRITERS
    assert sum(one.outcome == "done" for one in read_history(three / "text") if one.alias == alias) >= 1


def test_an_alias_may_have_to_be_there_or_not_to_be(three: Path) -> None:
    with pytest.raises(AliasChangedError, match="has no alias"):
        set_alias(three, "text", "champion", {"1": 100}, seen=ANY)
    set_alias(three, "text", "champion", {"1": 100}, seen=NONE)
    with pytest.raises(AliasChangedError, match="of that name already"):
        set_alias(three, "text", "champion", {"3": 100}, seen=NONE)
    set_alias(three, "text", "champion", {"3": 100}, seen=ANY)
    with pytest.raises(AliasChangedError, match="it stands for 3 now"):
        set_alias(three, "text", "champion", {"1": 100}, seen="another")


@pytest.mark.parametrize("alias", ["current", "champion"])
def test_another_space_is_refused_by_both_names_unless_it_is_meant(three: Path, alias: str) -> None:
    set_alias(three, "text", alias, {"1": 100}, new_space=True)
    old, new = (Store(three).manifest("text", version).space for version in ("1", "2"))
    with pytest.raises(SpaceChangeError, match=f"(?s){old}.*{new}"):
        set_alias(three, "text", alias, {"2": 100})
    set_alias(three, "text", alias, {"3": 100})  # of the same space
    set_alias(three, "text", alias, {"2": 100}, new_space=True)

    found = Store(three).alias("text", alias)
    assert found is not None
    assert found.shares == {"2": 100}


def test_two_versions_share_an_alias_within_one_space_only(three: Path) -> None:
    set_alias(three, "text", "champion", {"1": 90, "3": 10})
    with pytest.raises(SpaceChangeError, match="within one space only"):
        set_alias(three, "text", "champion", {"1": 90, "2": 10}, new_space=True)

    found = Store(three).alias("text", "champion")
    assert found is not None
    assert found.shares == {"1": 90, "3": 10}


def test_an_encoder_that_joined_a_space_is_in_it(three: Path) -> None:
    space = Store(three).manifest("text", "1").space
    joins = Joined(name="text", version="1", space=space)
    publish(three, [replace(tiny.text_draft(seed=2), joins=joins)])

    set_alias(three, "text", "current", {"1": 100})
    set_alias(three, "text", "champion", {"1": 50, "4": 50})


@pytest.mark.parametrize(
    ("alias", "shares", "said"),
    [
        ("latest", {"1": 100}, "an alias is not latest"),
        ("12", {"1": 100}, "no number"),
        ("../x", {"1": 100}, "a name is"),
        ("champion", {"9": 100}, "no version 9"),
        ("champion", {}, "1 to 2 versions"),
        ("champion", {"1": 50, "2": 30, "3": 20}, "1 to 2 versions"),
        ("current", {"1": 50, "3": 50}, "1 to 1 versions"),
        ("shadow", {"1": 50, "3": 50}, "1 to 1 versions"),
        ("champion", {"1": 50, "3": 49}, "100 together"),
        ("champion", {"1": 100, "3": 0}, "from 1 on"),
    ],
)
def test_what_cannot_be_an_alias_is_refused(
    three: Path, alias: str, shares: dict[str, int], said: str
) -> None:
    before = tag(three, "current")
    with pytest.raises(BundleError, match=said):
        set_alias(three, "text", alias, shares)

    assert Store(three).aliases("text") == []
    assert tag(three, "current") == before


def test_a_version_that_is_not_as_published_gets_no_alias(three: Path) -> None:
    (three / "text" / "3" / "golden.json").unlink()
    with pytest.raises(BundleError, match=r"golden\.json is missing"):
        set_alias(three, "text", "champion", {"3": 100})


def test_current_cannot_be_removed_and_what_is_not_there_neither(three: Path) -> None:
    with pytest.raises(BundleError, match="always has a current version"):
        remove_alias(three, "text", "current")
    with pytest.raises(AliasChangedError, match="has no alias of that name"):
        remove_alias(three, "text", "champion")
    with pytest.raises(BundleError, match="there is no model absent"):
        remove_alias(three, "absent", "champion")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"versions": {"1": {"share": 99, "manifest_digest": ""}}}']
)
def test_a_broken_alias_is_told_and_can_be_set_again(three: Path, content: bytes) -> None:
    set_alias(three, "text", "champion", {"1": 100})
    (three / "text" / ALIASES / "champion").write_bytes(content)
    with pytest.raises(BundleError, match="not the file of an alias"):
        Store(three).alias("text", "champion")

    with pytest.raises(SpaceChangeError, match="cannot be read"):
        set_alias(three, "text", "champion", {"1": 100})
    assert set_alias(three, "text", "champion", {"1": 100}, new_space=True).shares == {"1": 100}
    (three / "text" / ALIASES / "champion").write_bytes(content)
    remove_alias(three, "text", "champion")
    assert Store(three).aliases("text") == []


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": "9", "manifest_digest": "0"}'])
def test_a_broken_pointer_can_be_set_again_where_a_new_space_is_meant(three: Path, content: bytes) -> None:
    (three / "text" / "current").write_bytes(content)
    with pytest.raises(SpaceChangeError, match="cannot be read"):
        set_alias(three, "text", "current", {"1": 100})
    set_alias(three, "text", "current", {"1": 100}, new_space=True)

    assert Store(three).current("text") == "1"


def test_a_pointer_that_was_never_set_needs_no_word_for_it(three: Path) -> None:
    (three / "text" / "current").unlink()
    set_alias(three, "text", "current", {"1": 100})

    assert Store(three).current("text") == "1"


def test_the_history_has_every_change_the_newest_first(three: Path) -> None:
    set_alias(three, "shop-user", "champion", {"1": 100}, who="key deploy")
    set_alias(three, "shop-item", "champion", {"2": 100}, new_space=True)
    remove_alias(three, "shop-user", "champion", who="key deploy")
    found = read_history(three / Store(three).leader("shop-user"))

    told = [(one.alias, dict(one.before), dict(one.after), one.outcome) for one in found]
    assert told == [
        ("champion", {"2": 100}, {}, "done"),
        ("champion", {"1": 100}, {"2": 100}, "done"),
        ("champion", {}, {"1": 100}, "done"),
        ("current", {"1": 100}, {"2": 100}, "done"),
        ("current", {}, {"1": 100}, "done"),
    ]
    assert found[0].who == "key deploy"
    assert found[1].who.startswith("user")
    assert all(one.seconds is not None and one.seconds >= 0 for one in found)


@given(cut=st.integers(0, 400), more=st.integers(1, 3))
def test_half_a_line_costs_that_line_alone(
    cut: int, more: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever a kill leaves of the last lines, those before and those that follow are read."""
    models = tmp_path_factory.mktemp("models")
    publish(models, [tiny.text_draft()])
    for _ in range(2):
        set_alias(models, "text", "champion", {"1": 100})
    path = models / "text" / HISTORY
    content = path.read_bytes()
    path.write_bytes(content[: max(0, len(content) - cut)])
    left = len(read_history(models / "text"))
    for _ in range(more):
        set_alias(models, "text", "champion", {"1": 100})
    found = read_history(models / "text")

    assert len(found) in (left + more, left + more + 1)  # a line that lacked its end only is whole again
    assert [one.outcome for one in found[:more]] == ["done"] * more


def test_a_change_without_an_end_was_interrupted(three: Path) -> None:
    path = three / "text" / HISTORY
    line = {
        "id": "x",
        "at": "2026-01-01T00:00:00",
        "who": "me",
        "alias": "a",
        "before": {},
        "after": {"1": 100},
    }
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")

    assert read_history(three / "text")[0].outcome == "interrupted"
