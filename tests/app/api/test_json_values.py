"""A body of too many JSON values is refused before any is made, and one with long texts is not."""

from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.json_values import MOST_VALUES, UNCOUNTED, check_values, values_in
from app.http.errors import InvalidRequest

JSON = st.recursive(
    st.none() | st.integers(-9, 9) | st.text('a\\",:[{}]é', max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)
ATOMS = ["[]", "{}", "0", '""', "[[]]", '{"a":0}', "null", '"\\\\"', '"\\","']


def signs_of(value: Any) -> int:
    """Commas and colons of its JSON, and four for each bracket that opens."""
    if isinstance(value, dict):
        return 4 + len(value) + max(0, len(value) - 1) + sum(map(signs_of, value.values()))
    if isinstance(value, list):
        return 4 + max(0, len(value) - 1) + sum(map(signs_of, value))
    return 0


@given(JSON, st.integers(1, 40))
def test_what_stands_in_strings_does_not_count(value: Any, piece: int) -> None:
    body = json.dumps(['[{,:\\"' * 9, value, '"', "\\"]).encode()
    count = signs_of(json.loads(body))

    assert values_in(body, most=count, piece=piece) == count
    assert values_in(body, most=count - 1, piece=piece) == count


def test_a_long_text_of_such_signs_is_let_in() -> None:
    check_values(json.dumps({"inputs": '[{,:\\"' * MOST_VALUES}).encode())


@pytest.mark.parametrize("atom", ATOMS)
def test_a_body_that_is_not_counted_cannot_hold_too_many(atom: str) -> None:
    body = b"[" + b",".join([atom.encode()] * (UNCOUNTED // (len(atom) + 1))) + b"]"

    assert values_in(body) <= MOST_VALUES


@pytest.mark.parametrize("atom", ATOMS)
def test_too_many_are_refused(atom: str) -> None:
    with pytest.raises(InvalidRequest, match="524288"):
        check_values(b"[" + b",".join([atom.encode()] * (MOST_VALUES + 2)) + b"]")


def test_bytes_count_towards_them() -> None:
    """A body that is at both limits takes a parser twice as long as one that is at either."""
    text = b'"' + b"\\u0031" * (15_000_000 // 6) + b'"'
    lists = b"[" + b",".join([b"[]"] * 90_000) + b"]"  # 450,000

    for alone in (text, lists):
        check_values(alone)
    with pytest.raises(InvalidRequest, match="40 bytes as one"):
        check_values(b"[" + text + b"," + lists + b"]")


@pytest.mark.parametrize(
    "path", ["/encode", "/v1/embeddings", "/embed", "/api/embed", "/v2/embed", "/decode"]
)
async def test_every_route_refuses_them(client: httpx.AsyncClient, path: str) -> None:
    body = b'{"inputs":[' + b"[],[],[]," * 60_000 + b"[]]}"

    response = await client.post(path, content=body, headers={"Content-Type": "application/json"})

    assert response.status_code in (400, 422)
    assert "more than 524288 values" in response.text
    assert len(response.content) < 4096
