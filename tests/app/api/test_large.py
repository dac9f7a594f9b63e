"""Large answers are the same as small ones, written in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.large import NUMBERS, ROWS, pieces, to_json

JSON = st.recursive(
    st.none() | st.integers(-9, 9) | st.text('a"é', max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
)
VECTORS = np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32)
ANSWERS: dict[str, Any] = {
    "array": VECTORS,
    "in a field": {"model": "text", "embeddings": VECTORS, "warnings": []},
    "flat, in a list": {"outputs": [{"name": "embedding", "data": VECTORS.ravel()}]},
    "rows with fields": {"data": [{"index": at, "embedding": row} for at, row in enumerate(VECTORS)]},
    "strings": {"embeddings": ["abcd" * 64] * 2000},
}


@given(JSON, st.integers(0, 2))
def test_pieces_are_the_whole(content: Any, times: int) -> None:
    content = {"rows": [content] * (ROWS * times), "field": content}

    assert b"".join(pieces(content)) == orjson.dumps(content)


@pytest.mark.parametrize("name", ANSWERS)
def test_no_piece_is_large(name: str) -> None:
    """Whatever writes one lets no other thread run meanwhile."""
    content = ANSWERS[name]
    whole = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)

    assert to_json(content, VECTORS.size) == to_json(content) == whole
    longest = max(map(len, pieces(content)))
    assert longest <= 14 * NUMBERS  # some 12 bytes to a number
    assert longest < len(whole) / 3
