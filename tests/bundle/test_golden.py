"""golden.json: the proof that this machine computes what training computed."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bundle import Draft, Encoder, GoldenError, Store, publish
from bundle.golden import TOLERANCE, Golden, deviation, golden_of

DRAFT = tiny.text_draft()
GOLDEN = Golden.from_bytes(DRAFT.golden)


@pytest.fixture(scope="module")
def encoder(published: Path) -> Encoder:
    return Store(published).load("text")


@given(
    vectors=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 8)),
        elements=st.floats(allow_nan=False, allow_infinity=False, width=32),
    ),
    now=st.none() | st.floats(0, 1e10),
)
def test_round_trip_is_exact(vectors: np.ndarray[Any, Any], now: float | None) -> None:
    golden = Golden([f"text {row}" for row in range(len(vectors))], vectors, now, "start")
    again = Golden.from_bytes(golden.to_bytes())
    assert np.array_equal(again.vectors, vectors)
    assert (again.inputs, again.now, again.truncate) == (golden.inputs, now, "start")


def test_golden_of_domain_inputs() -> None:
    vectors = np.zeros((1, tiny.DIM), np.float32)
    assert golden_of([tiny.Text("hello")], vectors, None).inputs == ["hello"]


def test_check_gives_the_largest_difference(encoder: Encoder) -> None:
    shifted = GOLDEN.vectors.copy()
    shifted[1, 2] += TOLERANCE / 2
    assert GOLDEN.check(encoder) < TOLERANCE / 4
    assert replace(GOLDEN, vectors=shifted).check(encoder) == pytest.approx(TOLERANCE / 2, rel=0.2)


def test_vector_off_by_more_than_the_tolerance_is_refused_with_numbers(encoder: Encoder) -> None:
    shifted = GOLDEN.vectors.copy()
    shifted[-1, -1] += 3e-5
    with pytest.raises(GoldenError, match=r"3\.0e-05 off the recorded vectors; the limit is 1e-05"):
        replace(GOLDEN, vectors=shifted).check(encoder)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_recorded_vectors_that_are_not_finite_are_refused(value: float) -> None:
    """NaN compares as equal to anything when the largest difference is sought carelessly."""
    vectors = np.full_like(GOLDEN.vectors, value)
    with pytest.raises(GoldenError, match="not finite"):
        Golden.from_bytes(replace(GOLDEN, vectors=vectors).to_bytes())


MALFORMED: dict[str, Any] = {
    "unknown key": {"colour": "red"},
    "no inputs": {"inputs": [], "vectors": []},
    "inputs of another type": {"inputs": 5},
    "fewer vectors than inputs": {"inputs": ["a", "b"]},
    "vectors of other lengths": {"inputs": ["a", "b"], "vectors": ["AAAAAA==", "AAAAAAAAAAA="]},
    "vector that is no base64": {"vectors": ["!"]},
    "vector of three bytes": {"vectors": ["AAAA"]},
    "vector that is no text": {"vectors": [5]},
    "time of another type": {"now": "today"},
    "time that is not finite": {"now": float("inf")},
    "unknown truncation": {"truncate": "sideways"},
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_malformed_file_is_refused(change: dict[str, Any]) -> None:
    row = base64.b64encode(np.zeros(2, "<f4").tobytes()).decode()
    good = {"now": None, "truncate": "end", "inputs": ["a"], "vectors": [row]}
    Golden.from_bytes(json.dumps(good).encode())
    with pytest.raises(GoldenError, match=r"golden\.json"):
        Golden.from_bytes(json.dumps(good | change).encode())


@pytest.mark.parametrize("content", [b"", b"\xff", b"null", b"[" * 100_000])
def test_bytes_that_are_no_golden_file_are_refused(content: bytes) -> None:
    with pytest.raises(GoldenError):
        Golden.from_bytes(content)


def refusal(models: Path, draft: Draft) -> str:
    """Why a draft is not published; nothing of it may be left."""
    with pytest.raises(GoldenError) as caught:
        publish(models, [draft])
    assert Store(models).names() == []
    assert list(models.rglob(".tmp-*")) == []
    return str(caught.value)


def graph_with(value: float, draft: Draft = DRAFT) -> bytes:
    """The draft's graph with every number of its table replaced."""
    model = tiny.onnx.load_from_string(draft.graph)
    table = next(each for each in model.graph.initializer if each.name == "table")
    table.raw_data = np.full((len(tiny.WORDS), tiny.DIM), value, "<f4").tobytes()
    return bytes(model.SerializeToString())


def test_other_weights_are_refused(tmp_path: Path) -> None:
    assert "off the recorded vectors" in refusal(tmp_path, replace(DRAFT, graph=graph_with(1.0)))


def test_other_tokenizer_is_refused(tmp_path: Path) -> None:
    words = [*tiny.WORDS[:1], *reversed(tiny.WORDS[1:])]
    shuffled = DRAFT.preprocessor
    for position, word in enumerate(words):
        shuffled = shuffled.replace(f'"{tiny.WORDS[position]}":'.encode(), f'"~{word}":'.encode())
    assert "off the recorded" in refusal(tmp_path, replace(DRAFT, preprocessor=shuffled.replace(b"~", b"")))


@pytest.mark.parametrize("dim", [4, 9])
def test_manifest_of_another_dim_is_refused(tmp_path: Path, dim: int) -> None:
    assert "the manifest says" in refusal(tmp_path, replace(DRAFT, dim=dim, dimensions=[dim]))


def test_vectors_that_are_not_normalised_are_refused_if_the_manifest_says_so(tmp_path: Path) -> None:
    user, _ = tiny.pair_drafts()
    assert "are normalised; one has length" in refusal(tmp_path, replace(user, normalized=True))


def test_golden_input_that_is_refused_is_told(tmp_path: Path) -> None:
    golden = replace(GOLDEN, inputs=[5, *GOLDEN.inputs[1:]]).to_bytes()
    assert "a golden input is refused: inputs[0]" in refusal(tmp_path, replace(DRAFT, golden=golden))


def test_graph_that_fails_when_it_runs_is_refused(tmp_path: Path) -> None:
    """A table too small for the vocabulary."""
    model = tiny.onnx.load_from_string(DRAFT.graph)
    table = next(each for each in model.graph.initializer if each.name == "table")
    table.CopyFrom(tiny.numpy_helper.from_array(np.ones((2, tiny.DIM), np.float32), "table"))
    assert "cannot run" in refusal(tmp_path, replace(DRAFT, graph=model.SerializeToString()))


def test_graph_whose_rows_depend_on_padding_is_refused(tmp_path: Path) -> None:
    """The mask left out: right alone, wrong in a batch, with no error from anybody."""
    model = tiny.onnx.load_from_string(DRAFT.graph)
    cast = next(node for node in model.graph.node if node.op_type == "Cast")
    ones = tiny.helper.make_node("Equal", ["attention_mask", "attention_mask"], ["always"])
    cast.input[0] = "always"
    nodes = [ones, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert "in one batch" in refusal(tmp_path, replace(DRAFT, graph=model.SerializeToString()))


def test_deviation_is_absolute_for_short_vectors_and_relative_for_long_ones() -> None:
    """Row by row: a vector of length 100 does not excuse the one beside it."""
    expected = np.array([[0.6, 0.8], [0.0, 100.0]], dtype=np.float32)
    short, long = expected.copy(), expected.copy()
    short[0, 0] += 1e-3
    long[1, 1] += 1e-3

    assert deviation(short, expected) == pytest.approx(1e-3, rel=1e-2)
    assert deviation(long, expected) == pytest.approx(1e-5, rel=1e-2)
