"""Keys are found by their secrets, read from a file strictly, and never repeated."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from app.access import KeyRing, KeysError, new_secret, read_keys
from app.access.keys import PREFIX

SECRET = "ek_correct-horse"
DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()


def keys_in(tmp_path: Path, content: str) -> KeyRing:
    file = tmp_path / "keys.toml"
    file.write_text(content)
    return KeyRing(read_keys(file))


def test_a_key_is_found_by_its_secret_only(tmp_path: Path) -> None:
    ring = keys_in(tmp_path, f'[search]\nsha256 = "{DIGEST}"\nmodels = ["text*"]\n')

    key = ring.find(SECRET.encode())

    assert key is not None
    assert (key.name, key.may("encode"), key.may("admin")) == ("search", True, False)
    assert (key.may_ask("text-small"), key.may_ask("retail-user")) == (True, False)
    for other in (b"", b"ek_correct-hors", SECRET.encode() + b"e", DIGEST.encode()):
        assert ring.find(other) is None


def test_secrets_are_changed_while_both_are_good(tmp_path: Path) -> None:
    secret, digest = new_secret()
    ring = keys_in(tmp_path, f'[search]\nsha256 = ["{DIGEST}", "{digest}"]\n')

    assert ring.find(SECRET.encode()) is ring.find(secret.encode()) is not None


def test_new_secrets_differ_and_can_be_recognised() -> None:
    made = {new_secret()[0] for _ in range(50)}

    assert len(made) == 50
    assert all(one.startswith(PREFIX) and len(one) >= 43 for one in made)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[search]\nsha256 = "short"', "search.sha256.0"),
        ("[search]", "search.sha256"),
        ("", "has no key"),
        (f'[search]\nsha256 = "{DIGEST}"\nscopes = ["root"]', "search.scopes.0"),
        (f'[search]\nsha256 = "{DIGEST}"\nrequests_per_s = 0', "search.requests_per_s"),
        (f'["two words"]\nsha256 = "{DIGEST}"', "a key's name is 1 to 64 letters"),
        (f'[search]\nsha256 = "{DIGEST}"\n' * 2, r"has the table \[search\] twice \(at line 3, column 8\)"),
        (f'[search]\nsha256 = "{DIGEST}"\nsha256 = "{DIGEST}"', r"says the same twice \(at end"),
        (f'[search]\nsha256 = "{DIGEST}"\nrate = 1', "search.rate: is not known here"),
        ('[search]\nsha256 = "short"', "expected a SHA-256, 64 of 0-9 and a-f"),
        (f'[search]\nsecret = "{SECRET}"', "search"),
        (f'secret = "{SECRET}', "no TOML"),
    ],
)
def test_a_mistake_in_the_file_is_told_without_its_secrets(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(KeysError, match=told) as caught:
        keys_in(tmp_path, content)

    assert SECRET not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="No such file"):
        read_keys(tmp_path / "keys.toml")
