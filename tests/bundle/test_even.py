"""`same_bits`: a text has the same vector to the last bit, whatever is in a batch with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bundle import Encoder, Execution, Store, Text
from bundle.preprocess.base import EVEN, Prepared, evened
from bundle.preprocess.facts import Facts
from bundle.preprocess.text.preprocessor import even_grid, pack

MODELS = Path(__file__).parents[2] / "models"
WORDS = st.sampled_from(["parcel", "the", "Größe", "is", "where", "1,234.50", "zzyzx", "ship", "é"])
TEXTS = st.lists(WORDS, min_size=1, max_size=40).map(" ".join)


@pytest.fixture(scope="module", params=["text", "text-small"])  # padded, and packed
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return Store(MODELS).load(request.param, execution=Execution(max_threads=2, same_bits=True))


@given(texts=st.lists(TEXTS, min_size=2, max_size=9))
@settings(max_examples=25)
def test_a_text_has_the_same_bits_in_every_batch(encoder: Encoder, texts: list[str]) -> None:
    prepared = encoder.prepare([Text(text) for text in texts])
    together = encoder.run(prepared)

    for row, one in zip(together, prepared, strict=True):
        np.testing.assert_array_equal(encoder.run([one])[0], row)
        np.testing.assert_array_equal(encoder.run_multithreaded([one])[0], row)


@given(
    values=hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=20)),
    fill=st.integers(-1, 1),
)
def test_free_axes_are_lengthened_and_nothing_else_changes(values: np.ndarray[Any, Any], fill: int) -> None:
    found = evened({"a": values, "b": values}, {"a": [1]}, fill)

    assert found["b"] is values
    assert found["a"].shape[1] % EVEN == 0
    assert found["a"].shape[1] < values.shape[1] + EVEN
    np.testing.assert_array_equal(found["a"][:, : values.shape[1]], values)
    assert (found["a"][:, values.shape[1] :] == fill).all()


@given(lengths=st.lists(st.integers(1, 19), min_size=1, max_size=6))
def test_a_wider_grid_finds_the_same_tokens(lengths: list[int]) -> None:
    batch = [
        Prepared({"input_ids": np.arange(length) + 100 * row}, cost=length, facts=Facts(length))
        for row, length in enumerate(lengths)
    ]
    arrays = pack(batch)
    found = even_grid(arrays, {"grid": [1]})

    assert found["grid"].shape[1] % EVEN == 0
    np.testing.assert_array_equal(found["grid"].flat[found["spots"]], np.arange(sum(lengths)))
    for row, one in zip(found["grid"], batch, strict=True):
        np.testing.assert_array_equal(found["token_ids"][row[row >= 0]], one.arrays["input_ids"])
