"""Integer products: near the float32 ones, and for each row the same numbers in whatever company."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bundle.sessions import open_session
from training.int8_graph import SMALLEST_TABLE, SMALLEST_WIDTH, WEIGHT_LEVELS, int8_graph

INNER, OUTER = 96, 64
Floats = np.ndarray[Any, np.dtype[np.float32]]


def product(weights: Floats, rank: int = 2) -> bytes:
    """x -> x W, with W as a constant."""
    return _model(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [f"d{axis}" for axis in range(rank)]),
        weights=weights,
    )


def lookup(table: Floats, op: str = "Gather", **options: int) -> bytes:
    """i -> table[i]."""
    return _model(
        [helper.make_node(op, ["table", "i"], ["y"], **options)],
        helper.make_tensor_value_info("i", TensorProto.INT64, ["n"] if op == "Gather" else ["n", 1]),
        table=table,
    )


def _model(nodes: list[Any], given_: Any, **constants: Floats) -> bytes:
    graph = helper.make_graph(
        nodes,
        "encoder",
        [given_],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString(deterministic=True))


def run(graph: bytes, value: Any) -> Floats:
    session = open_session(graph)
    (found,) = session.run(None, {session.get_inputs()[0].name: value})
    return np.asarray(found)


def weights(seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(INNER, OUTER)).astype(np.float32)


def test_a_product_of_numbers_that_fit_the_steps_is_exact() -> None:
    """Rows whose largest number is 127 have steps of 1, and columns whose largest is 63 as well."""
    rng = np.random.default_rng(0)
    x = rng.integers(-127, 128, (5, INNER)).astype(np.float32)
    w = rng.integers(-WEIGHT_LEVELS, WEIGHT_LEVELS + 1, (INNER, OUTER)).astype(np.float32)
    x[:, 0], w[0] = 127, WEIGHT_LEVELS

    np.testing.assert_array_equal(run(int8_graph(product(w)), x), x @ w)


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 6),
    sizes=st.lists(st.sampled_from([0.0, 1e-30, 1e-6, 1.0, 1e3, 1e15]), min_size=6, max_size=6),
)
@settings(max_examples=60)
def test_a_row_is_near_its_float32_product_and_has_no_neighbours(
    seed: int, rows: int, sizes: list[float]
) -> None:
    """However large its neighbours are, of which onnxruntime's own dynamic steps would take the largest."""
    x = np.random.default_rng(seed).normal(size=(rows, INNER)).astype(np.float32)
    x *= np.array(sizes[:rows], np.float32)[:, None]
    w, graph = weights(), int8_graph(product(weights()))
    found = run(graph, x)

    # Half a step of each factor, times the other one, added up.
    x_steps, w_steps = np.abs(x).max(1, keepdims=True) / 127, np.abs(w).max(0) / WEIGHT_LEVELS
    bound = 0.5 * (x_steps * np.abs(w).sum(0) + w_steps * np.abs(x).sum(1, keepdims=True))
    bound += 0.25 * INNER * x_steps * w_steps
    assert (np.abs(found - x.astype(np.float64) @ w) <= 1.001 * bound + 1e-30).all()
    for row in range(rows):
        np.testing.assert_array_equal(run(graph, x[row : row + 1])[0], found[row])


def test_rows_of_several_axes_have_a_step_each() -> None:
    x = np.random.default_rng(1).normal(size=(2, 3, INNER)).astype(np.float32)
    x[1] *= 1e4
    graph = int8_graph(product(weights(), rank=3))

    found = run(graph, x)

    assert found.shape == (2, 3, OUTER)
    np.testing.assert_array_equal(found[0], run(graph, x[:1])[0])


@pytest.mark.parametrize(("op", "index"), [("Gather", [0, 7, 2047]), ("GatherND", [[0], [7], [2047]])])
def test_a_table_is_kept_in_a_quarter_and_found_by_row(op: str, index: list[Any]) -> None:
    table = np.random.default_rng(2).normal(size=(2048, 40)).astype(np.float32)
    table[7] *= 1e-3
    graph = int8_graph(lookup(table, op))

    found = run(graph, np.array(index))

    assert len(graph) < 0.3 * len(lookup(table, op))
    expected = table[[0, 7, 2047]]
    assert (np.abs(found - expected) <= 0.51 * np.abs(expected).max(1, keepdims=True) / 127).all()


UNTOUCHED = {
    "narrow layer": product(np.ones((INNER, SMALLEST_WIDTH - 1), np.float32)),
    "short table": lookup(np.ones((SMALLEST_TABLE - 1, 8), np.float32)),
    "columns of a table": lookup(np.ones((SMALLEST_TABLE, 2048), np.float32), axis=1),
    "table in float16": _model(
        [helper.make_node("Gather", ["table", "i"], ["z"]), helper.make_node("Cast", ["z"], ["y"], to=1)],
        helper.make_tensor_value_info("i", TensorProto.INT64, ["n"]),
        table=np.ones((SMALLEST_TABLE, 8), np.float16),
    ),
}


@pytest.mark.parametrize("graph", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_would_not_gain_is_left_as_it_is(graph: bytes) -> None:
    assert int8_graph(graph) == graph


def test_layers_over_one_input_share_its_integers_and_float_weights_are_gone() -> None:
    graph = _model(
        [
            helper.make_node("MatMul", ["x", "a"], ["p"]),
            helper.make_node("MatMul", ["x", "b"], ["q"]),
            helper.make_node("Add", ["p", "q"], ["y"]),
        ],
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", INNER]),
        a=weights(1),
        b=weights(2),
    )
    made = onnx.load_from_string(int8_graph(graph)).graph

    assert [node.op_type for node in made.node].count("QuantizeLinear") == 1
    assert [node.op_type for node in made.node].count("MatMulInteger") == 2
    assert {one.name for one in made.initializer} & {"a", "b"} == set()


def test_a_matrix_that_is_a_table_and_a_layer_has_steps_of_both() -> None:
    """Of rows where rows are looked up, of columns where it is multiplied by."""
    table = np.random.default_rng(3).normal(size=(SMALLEST_TABLE, 64)).astype(np.float32)
    table[5] *= 100
    graph = _model(
        [
            helper.make_node("Gather", ["table", "i"], ["found"]),
            helper.make_node("MatMul", ["x", "table"], ["product"]),
            helper.make_node("Add", ["found", "product"], ["y"]),
        ],
        helper.make_tensor_value_info("i", TensorProto.INT64, ["n"]),
        table=table,
        x=np.zeros((1, SMALLEST_TABLE), np.float32),
    )

    found = run(int8_graph(graph), np.array([7]))

    assert np.abs(found - table[7]).max() <= 0.51 * np.abs(table[7]).max() / 127
