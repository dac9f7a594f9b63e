"""Damage to the bytes of a file, as disks, editors and strangers do it; what changes is drawn by a seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

DEEP = 100_000  # brackets
ATOMS = (
    None, True, False, 0, -1, 1, 7, 3.5, 1e308, 1 << 31, 1 << 63, 10**40, float("nan"), float("inf"), "", "a",
    "\0", "\ud800", "../../etc", "0" * 64, "[UNK]", "WordLevel", "Whitespace", "features", [], {}, [[]], [0],
    [None], {"a": 1}, {"type": "BPE"}, {"type": "FixedLength", "length": 0}, "a" * 5000, [0] * 5000,
)  # fmt: skip
DOCUMENTS = (
    b"",
    b"\0",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b"1",
    b'"',
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"\xef\xbb\xbf{}",
)


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


def garble(content: bytes, chance: random.Random) -> bytes:
    """Still JSON, mostly: a value anywhere in it is another one, gone or there twice; or no document."""
    if chance.random() < 0.1:
        return chance.choice(DOCUMENTS)
    return json.dumps(garble_values(json.loads(content), chance)).encode()


def garble_values(document: Any, chance: random.Random) -> Any:
    """The document itself, changed in one place or two."""
    for _ in range(chance.randint(1, 2)):
        if places := list(_places(document)):
            holder, key = chance.choice(places)
            _change(holder, key, chance)
    return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document, as its holder and its key."""
    entries = list(
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        yield value, key
        yield from _places(inner)


def _change(holder: Any, key: Any, chance: random.Random) -> None:
    match chance.choice(["replace", "replace", "remove", "double"]):
        case "replace":
            holder[key] = copy.deepcopy(chance.choice(ATOMS))
        case "remove":
            del holder[key]
        case "double" if isinstance(holder, list):
            holder.insert(key, holder[key])
        case _:
            holder[f"{key}2"] = holder[key]
