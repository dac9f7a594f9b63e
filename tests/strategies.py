"""Hypothesis strategies that several test modules draw from."""

from __future__ import annotations

from typing import Any

import pictures
import sounds
import tiny
from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)  # lone surrogates too
WORDS = st.sampled_from([*tiny.WORDS, "unheard"])
SENTENCES = st.lists(WORDS, min_size=1, max_size=tiny.MAX_LENGTH).map(" ".join)

NUMBERS = st.one_of(
    st.integers(),
    st.floats(),  # NaN and infinities too
    st.sampled_from([10**400, -(10**400), 1e308, -1e308, 5e-324, 2**63, True, False]),
)
TIMES = st.one_of(
    NUMBERS,
    ANY_TEXT,
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.sampled_from(
        ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2023-W01-1", "24:00", "2023"]
    ),
)
SCALARS = st.one_of(st.none(), NUMBERS, ANY_TEXT, TIMES)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
HISTORY_ENTRIES = st.one_of(
    st.sampled_from(tiny.ITEMS),
    st.fixed_dictionaries({}, optional={"id": st.sampled_from(tiny.ITEMS) | JSON, "time": TIMES | JSON}),
    JSON,
)


def feature_objects(names: list[str]) -> st.SearchStrategy[dict[Any, Any]]:
    """What a caller might send: mostly declared fields, with values of any kind."""
    values = st.one_of(JSON, st.lists(HISTORY_ENTRIES, max_size=6))
    keys = st.one_of(st.sampled_from(names), ANY_TEXT, st.integers(), st.none())
    declared = st.dictionaries(st.sampled_from(names), values, max_size=4)
    return declared | st.dictionaries(keys, values, max_size=3)


USERS = st.fixed_dictionaries(
    {},
    optional={
        "history": st.lists(st.sampled_from([*tiny.ITEMS, "unheard"]), max_size=6),
        "country": st.sampled_from([*tiny.COUNTRIES, "unheard", None]),
    },
)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from([*tiny.ITEMS, "unheard"]),
        "title": SENTENCES,
        "price": st.floats(0, 1e6) | st.integers(0, 10**6),
    },
)
SOUNDS = st.builds(
    lambda seed, seconds: sounds.sound_of(sounds.noise(seed, seconds)).to_json(),
    st.integers(0, 9),
    st.floats(0.001, 0.4),
)
VECTORS = st.lists(st.floats(-100, 100, width=32), min_size=tiny.DIM, max_size=tiny.DIM)
PICTURES = st.builds(
    lambda seed, width, height, kind: pictures.image_of(pictures.noise(seed, width, height), kind).to_json(),
    st.integers(0, 99),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"]),
)
INPUTS: dict[str, st.SearchStrategy[Any]] = {
    "text": SENTENCES,
    "shop-user": USERS,
    "shop-item": RECORDS,
    "image": PICTURES,
    "adapter": VECTORS,
    "audio": SOUNDS,
}
