"""Vectors in fewer bits: the rules, and that nearness survives them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bundle import OUTPUT_TYPES, OutputType, Store, Text
from bundle.quantize import int8_limit, quantized

VECTORS = np.array([[0.5, -0.25, 0.0, 1.0, -1.0, 0.1, -0.1, 2.0]], dtype=np.float32)
floats = arrays(np.float32, (3, 8), elements=st.floats(-4, 4, width=32))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("float32", VECTORS[0]),
        ("float16", VECTORS[0].astype(np.float16)),
        ("int8", [64, -32, 0, 127, -127, 13, -13, 127]),  # the last is beyond the limit
        ("uint8", [192, 96, 128, 255, 1, 141, 115, 255]),
        ("ubinary", [0b10010101]),
        ("binary", [0b10010101 - 128]),
    ],
)
def test_each_type_by_hand(kind: OutputType, expected: list[float]) -> None:
    found = quantized(VECTORS, kind, limit=1.0)

    np.testing.assert_array_equal(found[0], expected)


def test_types_have_the_bits_that_they_name() -> None:
    names = {kind: quantized(VECTORS, kind, 1.0).dtype.name for kind in OUTPUT_TYPES}

    assert names == {
        "float32": "float32", "float16": "float16", "int8": "int8", "uint8": "uint8",
        "binary": "int8", "ubinary": "uint8",
    }  # fmt: skip


@given(floats)
@example(np.array([[1.18e-38, 0.0]], dtype=np.float32))  # 127 / limit is more than float32 holds
def test_int8_is_off_by_half_a_step_at_most(vectors: np.ndarray) -> None:
    limit = int8_limit(vectors)

    back = quantized(vectors, "int8", limit) * (limit / 127)

    assert np.abs(back - vectors).max() <= limit / 254 * (1 + 1e-4)


@given(floats)
def test_bits_are_the_signs(vectors: np.ndarray) -> None:
    bits = np.unpackbits(quantized(vectors, "ubinary", 1.0), axis=1)

    np.testing.assert_array_equal(bits, vectors > 0)


def test_the_limit_of_nothing_is_one() -> None:
    assert int8_limit(np.zeros((0, 4), np.float32)) == 1.0


@pytest.mark.parametrize("dim", [tiny.DIM, tiny.DIM // 2])
def test_an_encoder_is_calibrated_by_its_golden_vectors_at_every_length(published: Path, dim: int) -> None:
    """Vectors of the golden inputs use the whole range and are never cut."""
    encoder = Store(published).load("text")
    vectors = encoder.cut(encoder.encode([Text(text) for text in tiny.TEXTS]), dim)

    levels = np.abs(encoder.quantized(vectors, "int8").astype(int))

    assert levels.max() == 127


def test_other_bits_are_another_space(published: Path) -> None:
    manifest = Store(published).load("text").manifest

    assert manifest.space_of(tiny.DIM, "float16") == manifest.space
    assert manifest.space_of(4, "int8") == f"{manifest.space}@4+int8"
    assert len({manifest.space_of(tiny.DIM, kind) for kind in OUTPUT_TYPES}) == 5
