"""The protocol of the story of 1,000 pairs: nothing is on both sides, and the ranking is what it says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from bench.fine_tuning import LEARNED, halves, ndcg

GROUPS = st.dictionaries(
    st.text("abc", min_size=1), st.lists(st.tuples(st.text("xyz"), st.text("xyz")), max_size=4)
)


@given(GROUPS)
def test_no_group_is_on_both_sides(texts: dict[str, list[tuple[str, str]]]) -> None:
    groups = {key: [(f"{key} {a}", f"{key} {b}") for a, b in pairs] for key, pairs in texts.items()}
    split = halves(groups)
    sides = [{first.split()[0] for first, _ in side} for side in (split.learned, split.measured)]

    assert not sides[0] & sides[1]
    assert split == halves(dict(reversed(groups.items())))
    assert len(split.learned) + len(split.measured) == sum(map(len, groups.values()))


def test_no_more_is_learned_than_is_said() -> None:
    split = halves({str(number): [(f"q{number}", f"d{number}")] * 3 for number in range(1000)})

    assert len(split.learned) == LEARNED


def test_the_measure_is_ndcg_of_each_question() -> None:
    """By hand: the first question's document comes second."""
    vectors = {"a": (1.0, 0.0), "b": (0.0, 1.0), "first": (0.6, 0.8), "second": (1.0, 0.0)}

    def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([vectors[text] for text in texts], dtype=np.float32)

    found = ndcg(encode, [("a", "first"), ("b", "first"), ("b", "second")])

    np.testing.assert_allclose(found, [1 / np.log2(3), 1.0])
