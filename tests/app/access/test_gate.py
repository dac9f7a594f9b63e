"""Who asks is found by his secret, through every change of the file of keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from app.access import Gate, KeysError


def row(name: str, secret: str, **more: object) -> str:
    lines = [f"[{name}]", f'sha256 = "{hashlib.sha256(secret.encode()).hexdigest()}"']
    return "\n".join([*lines, *(f"{field} = {value}" for field, value in more.items()), ""])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.toml"
    file.write_text(row("search", "one") + row("shop", "two", requests_per_s=1))
    return file


@pytest.fixture
def audited() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def names(gate: Gate, *secrets: str) -> list[str | None]:
    return [found.key.name if (found := gate.find([one.encode()])) else None for one in secrets]


def test_who_asks_is_found_by_one_secret(file: Path) -> None:
    gate = Gate(file, "three")

    assert names(gate, "one", "two", "three", "four", "") == ["search", "shop", "default", None, None]
    assert gate.find([]) is None
    assert gate.find([b"one", b"two"]) is None


def test_changes_of_the_file_are_followed_and_audited_by_name(file: Path, audited: list[Any]) -> None:
    gate = Gate(file, "three")
    file.write_text(row("search", "other") + row("new", "four"))
    gate.look()

    assert names(gate, "one", "two", "three", "four", "other") == [None, None, "default", "new", "search"]
    first, second = ({how: line[how] for how in ("added", "removed", "changed")} for line in audited)
    assert first == {"added": ["default", "search", "shop"], "removed": [], "changed": []}
    assert second == {"added": ["new"], "removed": ["shop"], "changed": ["search"]}
    assert {(line["event"], line["caller"]) for line in audited} == {("keys.read", "file of keys")}


@pytest.mark.parametrize(
    "content", ["[search", "", row("search", ""), row("default", "one"), "a = " + 9999 * "[", None]
)
def test_a_file_that_is_broken_or_gone_changes_nothing_and_is_told(
    file: Path, audited: list[Any], content: str | None
) -> None:
    gate, before = Gate(file, "three"), file.read_text()
    file.unlink() if content is None else file.write_text(content)
    gate.look()
    gate.look()

    assert names(gate, "one", "two", "three") == ["search", "shop", "default"]
    assert [line["event"] for line in audited] == ["keys.read", "keys.refused"]
    assert str(file) in audited[1]["reason"]
    file.write_text(before)
    gate.look()
    assert audited[-1]["event"] == "keys.read"


def test_a_file_that_changes_while_it_is_used_by_a_link_is_followed(tmp_path: Path, file: Path) -> None:
    """As a secret of Kubernetes does: a link to a link to a directory, which is exchanged."""
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    gate = Gate(link, None)
    other = tmp_path / "other.toml"
    other.write_text(row("new", "four"))
    (tmp_path / "next.toml").symlink_to(other)
    (tmp_path / "next.toml").rename(link)
    gate.look()

    assert names(gate, "one", "four") == [None, "new"]


def test_what_a_key_has_spent_stays_as_long_as_its_limits(file: Path) -> None:
    gate = Gate(file, None)
    spent = gate.find([b"two"])
    file.write_text(row("shop", "rotated", requests_per_s=1) + row("search", "one", max_in_work=1))
    gate.look()
    rotated, limited = gate.find([b"rotated"]), gate.find([b"one"])
    assert spent
    assert rotated
    assert limited
    assert rotated.rates is spent.rates is not None
    assert limited.rates is not None

    file.write_text(row("shop", "rotated", requests_per_s=2))
    gate.look()
    assert (changed := gate.find([b"rotated"])) is not None
    assert changed.rates is not spent.rates


def test_a_file_is_read_again_when_it_is_asked_for(file: Path, audited: list[Any]) -> None:
    gate = Gate(file, None)
    gate.look()
    assert len(audited) == 1
    gate.look_again()
    gate.look()

    assert [line["event"] for line in audited] == ["keys.read", "keys.read"]


@pytest.mark.parametrize(
    ("expires", "is_good"),
    [
        ("2001-01-01", False),
        ("2001-01-01T00:00:00+14:00", False),
        ("2001-01-01T00:00:00", False),
        ("2999-01-01", True),
        ("2999-01-01T00:00:00Z", True),
    ],
)
def test_a_key_is_none_from_the_moment_it_expires(file: Path, expires: str, is_good: bool) -> None:
    gate = Gate(file, None)
    caller = gate.find([b"two"])
    assert caller
    file.write_text(row("shop", "two", expires=expires) + row("search", "one"))
    gate.look()

    assert names(gate, "one", "two") == ["search", "shop" if is_good else None]
    assert gate.still_has(caller) is is_good


def test_a_caller_has_a_key_until_it_is_gone(file: Path) -> None:
    gate = Gate(file, None)
    caller = gate.find([b"two"])
    assert caller
    for content, has in (
        (row("shop", "two", max_in_work=1), True),
        (row("shop", "other"), False),
        (row("other", "two"), False),
    ):
        file.write_text(content)
        gate.look_again()
        gate.look()
        assert gate.still_has(caller) is has


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (row("a", "same") + row("b", "same"), "b.sha256: a has the same secret"),
        (row("a", ""), "a.sha256: the digest of an empty secret"),
        (row("default", "one"), "ENCODERY_API_KEY"),
        (row("a", "one", expires='"soon"'), "a.expires"),
        (row("a", "one", expires=2027), "a.expires"),
        (row("a", "one", requests_per_s=1e-9), "a.requests_per_s"),
        ("".join(row(f"k{number}", str(number)) for number in range(4097)), "4097 keys; the limit is 4096"),
    ],
)
def test_keys_that_cannot_be_told_apart_are_refused(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(content)

    with pytest.raises(KeysError, match=told):
        Gate(file, "three")
