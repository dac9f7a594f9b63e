"""Kept vectors are the same however they were read."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api import score_vectors
from app.api.score_vectors import load_with_vectors
from app.http.errors import InvalidRequest, MalformedRequest

MANY = np.random.default_rng(0).standard_normal((3000, 16)).round(5).tolist()


def read(body: bytes) -> Any:
    content = load_with_vectors(body, "query", 10_000)
    rows = content.get("vectors")
    return content | {"vectors": [np.asarray(row, np.float32).tolist() for row in rows]} if rows else content


def whole(body: bytes) -> Any:
    content = orjson.loads(body)
    rows = content["vectors"]
    return content | {"vectors": [np.asarray(row, np.float32).tolist() for row in rows]}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("order", [("query", "vectors", "space"), ("vectors", "query"), ("query", "vectors")])
def test_many_rows_are_read_in_pieces(indent: int | None, order: tuple[str, ...]) -> None:
    fields = {"query": 'about "vectors": [[1, 2]]', "vectors": MANY, "space": "sp"}
    body = json.dumps({name: fields[name] for name in order}, indent=indent).encode()
    assert len(body) > score_vectors.PIECE

    assert isinstance(load_with_vectors(body, "query", 10_000)["vectors"][0], np.ndarray)
    assert read(body) == whole(body)


@pytest.mark.parametrize("indent", [None, 2])
def test_many_rows_in_base64_are_read_in_pieces(indent: int | None) -> None:
    rows = [base64.b64encode(np.array(row, "<f4")).decode() for row in MANY]
    body = json.dumps({"query": "a", "vectors": rows, "space": "sp"}, indent=indent).encode()

    assert load_with_vectors(body, "query", 10_000) == orjson.loads(body)
    assert max(map(len, pieces_of(body))) < score_vectors.PIECE + 100


def pieces_of(body: bytes) -> list[bytes]:
    rows, form = score_vectors._rows(body) or pytest.fail("there are no rows")
    return list(score_vectors._pieces(body[rows], form))


ROWS = st.lists(st.integers(-9, 9), max_size=4) | st.text("ab+/=", max_size=5) | st.text("[],", max_size=3)


@given(st.lists(ROWS, min_size=1, max_size=12), st.integers(1, 60))
def test_pieces_lose_no_row(rows: list[Any], size: int) -> None:
    body = json.dumps({"vectors": rows}).encode()
    before, score_vectors.PIECE = score_vectors.PIECE, size
    try:
        assert as_lists(load_with_vectors(body, "query", 10_000)) == {"vectors": rows}
    except InvalidRequest:
        assert any(isinstance(row, str) for row in rows)  # beside lists, which are arrays here already
    finally:
        score_vectors.PIECE = before


def as_lists(content: Any) -> Any:
    rows = [row.tolist() if isinstance(row, np.ndarray) else row for row in content["vectors"]]
    return content | {"vectors": rows}


@pytest.mark.parametrize(
    "broken",
    [
        lambda body: body[:-1],
        lambda body: body.replace(b"], [", b"] [", 1),
        lambda body: body.replace(b"], [", b"], , [", 1),
        lambda body: body + b"]",
        lambda body: body.replace(b"[[", b"[[1.2.3, ", 1),
        lambda body: body.replace(b"[[", b"[[NaN, ", 1),
    ],
)
def test_broken_json_is_told_as_ever(broken: Any) -> None:
    body = broken(json.dumps({"query": "a", "vectors": MANY}).encode())

    with pytest.raises(MalformedRequest) as told:
        load_with_vectors(body, "query", 10_000)
    with pytest.raises(orjson.JSONDecodeError) as expected:
        orjson.loads(body)
    assert f"at character {expected.value.pos}" in str(told.value)


def test_rows_elsewhere_are_left_where_they_are() -> None:
    body = json.dumps({"query": "a", "candidates": [{"vectors": MANY}]}).encode()

    assert load_with_vectors(body, "query", 10_000) == orjson.loads(body)


def test_a_row_that_holds_no_numbers_is_named() -> None:
    body = json.dumps({"query": "a", "vectors": [*MANY, [[1]], *MANY]}).encode()

    with pytest.raises(InvalidRequest, match=rf"vectors\[{len(MANY)}\]: expected numbers"):
        load_with_vectors(body, "query", 10_000)
