"""F4: a thousand damaged bundles; each is refused with a reason, or is the same bundle in other bytes."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle import BundleError, Encoder, Store

MUTANTS = 334  # of each of three bundles

Mutation = Callable[[bytes, random.Random], bytes]


def flip_a_bit(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncate(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def zero_a_stretch(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    length = min(chance.randint(1, 64), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def exchange_two_bytes(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    one, other = chance.randrange(len(content)), chance.randrange(len(content))
    changed[one], changed[other] = changed[other], changed[one]
    return bytes(changed)


def repeat_a_stretch(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    return content[: start + 8] + content[start:]


def change_a_digit(content: bytes, chance: random.Random) -> bytes:
    """The most believable damage: still JSON, still the same length."""
    digits = [position for position, byte in enumerate(content) if 0x30 <= byte <= 0x39]
    if not digits:
        return flip_a_bit(content, chance)
    changed = bytearray(content)
    changed[chance.choice(digits)] = chance.randint(0x30, 0x39)
    return bytes(changed)


MUTATIONS: list[Mutation] = [
    flip_a_bit,
    truncate,
    zero_a_stretch,
    exchange_two_bytes,
    repeat_a_stretch,
    change_a_digit,
]


@pytest.mark.parametrize("name", ["text", "shop-user", "shop-item"])
def test_damaged_bundle_is_refused_or_the_same(published: Path, tmp_path: Path, name: str) -> None:
    """No file has bytes that do not matter but the white space of the manifest and of the pointer."""
    models = Path(shutil.copytree(published, tmp_path / "models"))
    whole = Store(models).load(name)
    chance = random.Random(name)
    files = [models / name / "current", *sorted((models / name / "1").iterdir())]
    accepted = []
    for _ in range(MUTANTS):
        path = chance.choice(files)
        before = path.read_bytes()
        after = chance.choice(MUTATIONS)(before, chance)
        path.write_bytes(after)
        loaded = load_or_reason(Store(models), name)
        path.write_bytes(before)
        if isinstance(loaded, Encoder):
            assert loaded.manifest == whole.manifest
            accepted += [path.name] if after != before else []
        else:
            assert 10 < len(loaded) < 500
    assert set(accepted) <= {"current", "manifest.json"}
    assert len(accepted) < MUTANTS / 20


def load_or_reason(store: Store, name: str) -> Encoder | str:
    """Anything but a BundleError escapes."""
    try:
        return store.load(name)
    except BundleError as error:
        return str(error)
