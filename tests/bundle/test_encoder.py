"""A bundle in memory: from inputs to vectors."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tiny
from onnx import TensorProto, helper

from bundle import Encoder, Features, Input, IntegrityError, Store, Text
from bundle.encoder import BATCH_COST, Runner, batches
from bundle.preprocess.text import TextPreprocessor

SAME = 1e-6  # float32 sums in another order
UNIT = 1e-5  # float32 rounding of a norm

TEXTS: list[Input] = [Text(text) for text in tiny.TEXTS]
IDS = {"input_ids": (TensorProto.INT64, ["n", "t"])}


@pytest.fixture(scope="module")
def encoder(published: Path) -> Encoder:
    return Store(published).load("text")


GONE = """
import gc, sys, weakref
from pathlib import Path
from bundle import Store
gone = Store(Path(sys.argv[1])).load(sys.argv[2])
gone.encode(gone.read(gone.examples[:1]))
parts = [weakref.ref(gone), weakref.ref(gone.preprocessor)]
gc.disable()
del gone
print([part() for part in parts])
"""


@pytest.mark.parametrize("name", ["text", "shop-user"])
def test_one_that_nobody_has_is_gone_without_a_collection(published: Path, name: str) -> None:
    """A server spares its requests the collections (gc.freeze): a circle would keep the encoder for good.

    In a process of its own, since encoders that read alike share a preprocessor, and other tests hold some.
    """
    command = [sys.executable, "-c", GONE, str(published), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == "[None, None]\n"


def test_encode_of_nothing_has_no_rows(encoder: Encoder) -> None:
    vectors = encoder.encode([])
    assert (vectors.shape, vectors.dtype) == ((0, tiny.DIM), np.float32)


def test_encode_equals_each_alone(encoder: Encoder) -> None:
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS), alone, atol=SAME)


def test_encode_of_more_than_a_batch_keeps_the_order(encoder: Encoder) -> None:
    few = encoder.encode(TEXTS)
    many = encoder.encode(TEXTS * 100)
    assert sum(one.cost for one in encoder.prepare(TEXTS * 100, "end")) > BATCH_COST
    np.testing.assert_allclose(many, np.tile(few, (100, 1)), atol=SAME)


def test_normalised_encoder_gives_unit_vectors(encoder: Encoder) -> None:
    assert encoder.manifest.normalized
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS), axis=1), 1, atol=UNIT)


def test_vectors_are_those_of_the_reference_evaluator(published: Path) -> None:
    encoder, draft = Store(published).load("shop-user"), tiny.pair_drafts()[0]
    users: list[Input] = [Features(values, tiny.NOW) for values in tiny.USERS]
    expected = tiny.reference_vectors(draft.graph, encoder.preprocessor, users)
    np.testing.assert_allclose(encoder.encode(users), expected, atol=1e-5)


def test_many_threads_get_the_same_vectors(encoder: Encoder) -> None:
    expected = encoder.encode(TEXTS)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: encoder.encode(TEXTS), range(200)))
    assert all(np.array_equal(vectors, expected) for vectors in found)


# Shorter vectors.


def test_cut_renormalises_the_first_dimensions(encoder: Encoder) -> None:
    whole = encoder.encode(TEXTS)
    cut = encoder.cut(whole, 4)
    assert cut.shape == (len(TEXTS), 4)
    np.testing.assert_allclose(np.linalg.norm(cut, axis=1), 1, atol=UNIT)
    norms = np.linalg.norm(whole[:, :4], axis=1, keepdims=True)
    np.testing.assert_allclose(cut * norms, whole[:, :4], atol=SAME)


@pytest.mark.parametrize("rows", [1, 2])
def test_cut_leaves_the_callers_vectors_alone(encoder: Encoder, rows: int) -> None:
    """One row is contiguous however it is cut, so that a careless copy is none."""
    whole = encoder.encode(TEXTS[:rows])
    before = whole.copy()
    encoder.cut(whole, 4)
    assert np.array_equal(whole, before)


def test_cut_of_an_encoder_that_does_not_normalise_only_cuts(published: Path) -> None:
    encoder = Store(published).load("shop-user")
    whole = encoder.encode([Features(tiny.USERS[0], tiny.NOW)])
    assert np.array_equal(encoder.cut(whole, 4), whole[:, :4])


def test_cut_to_full_length_is_the_same(encoder: Encoder) -> None:
    whole = encoder.encode(TEXTS)
    assert encoder.cut(whole, tiny.DIM) is whole


def test_cut_of_a_vector_that_starts_with_zeros_is_finite(encoder: Encoder) -> None:
    cut = encoder.cut(np.array([[0, 0, 0, 0, 1, 0, 0, 0]], dtype=np.float32), 4)
    assert cut.tolist() == [[0, 0, 0, 0]]


# Batches of bulk encoding.


@pytest.mark.parametrize("costs", [[], [5], [1] * 10, [3, 1, 2, 9, 4], [50, 1, 1]])
def test_batches_hold_every_row_once_within_the_budget(costs: list[int]) -> None:
    """Only a row that is over the budget by itself goes over it, alone."""
    found = list(batches(costs, budget=6))
    assert sorted(row for batch in found for row in batch) == list(range(len(costs)))
    for batch in found:
        assert len(batch) == 1 or max(costs[row] for row in batch) * len(batch) <= 6


# Graphs that do not fit.


def runner(graph: bytes) -> Runner:
    return Runner(TextPreprocessor(tiny.tokenizer_json(), tiny.MAX_LENGTH), graph)


def test_graph_that_onnxruntime_refuses_is_an_integrity_error() -> None:
    with pytest.raises(IntegrityError, match=r"onnxruntime refuses model\.onnx"):
        runner(b"not a graph")


def test_graph_is_not_kept_beside_what_was_made_of_it() -> None:
    """A loaded encoder would need its size on disk twice."""
    graph = tiny.text_draft().graph
    before = sys.getrefcount(graph)
    made = runner(graph)

    assert sys.getrefcount(graph) == before
    assert made.run(TextPreprocessor(tiny.tokenizer_json(), tiny.MAX_LENGTH).prepare(TEXTS[:1])).any()


def test_graph_with_an_input_that_preprocessing_lacks_is_refused() -> None:
    graph = tiny.graph_bytes(
        [helper.make_node("Cast", ["pixels"], ["vector"], to=TensorProto.FLOAT)],
        {"pixels": (TensorProto.INT64, ["n", tiny.DIM])},
        {},
    )
    with pytest.raises(IntegrityError, match=r"takes \['pixels'\]"):
        runner(graph)


def test_graph_may_leave_out_an_input_that_preprocessing_offers() -> None:
    graph = tiny.graph_bytes(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
            helper.make_node("ReduceMax", ["tokens", "one"], ["vector"], keepdims=0),
        ],
        IDS,
        {"table": np.ones((20, tiny.DIM), np.float32), "one": np.array([1])},
    )
    preprocessor = TextPreprocessor(tiny.tokenizer_json(), tiny.MAX_LENGTH)
    assert Runner(preprocessor, graph).run(preprocessor.prepare(TEXTS[:2])).shape == (2, tiny.DIM)
