"""A graph whose dense layers multiply integers of 8 bits, and give a row the same numbers in every batch.

    x [.., k] -> 127 steps of its row's largest number, uint8 about 128 -> MatMulInteger with int8 weights
    -> int32 -> times the row's step, times the column's step -> [.., n]

Each row of activations has a step of its own, so neighbours in a batch have no say in it; onnxruntime's own
dynamic quantisation (DynamicQuantizeLinear) takes one step for the whole batch. Each column of weights has a
step of its own as well, of 63 and not of 127 levels: processors without VNNI add two products of uint8 and
int8 in 16 bits, which larger weights would overflow without a word (onnxruntime's documentation of
`reduce_range`). Embedding tables are kept in int8 with a step per row. Products of two activations
(attention), norms and all else stay in float32.

Standard operators only (opset 13 and later). Knows nothing of bundles.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

LEVELS, ZERO = 127, 128  # of activations: uint8, 128 is nought
WEIGHT_LEVELS = 63  # 2 * 255 * 63 fits 16 bits
TABLE_LEVELS = 127
SMALLEST_WIDTH = 64  # of a dense layer: below, turning numbers into integers costs more than it saves
SMALLEST_TABLE = 1024  # rows
TINY = float(np.finfo(np.float32).tiny) * LEVELS  # a row of noughts must not be divided by nought

_CONSTANTS: dict[str, npt.NDArray[np.generic]] = {
    "int8_last_axis": np.array([-1], np.int64),
    "int8_tiny": np.array(TINY, np.float32),
    "int8_levels": np.array(LEVELS, np.float32),
    "int8_one": np.array(1, np.float32),
    "int8_zero": np.array(ZERO, np.uint8),
}


def int8_graph(content: bytes) -> bytes:
    """The graph with integer products and int8 tables, ONNX bytes; as it was where nothing fits.

    Inputs, outputs and metadata stay as they are.
    """
    model = onnx.load_from_string(content)
    rewriting = _Rewriting(model.graph)
    nodes = [made for node in model.graph.node for made in rewriting.replaced(node)]
    if rewriting.count:
        rewriting.finish(nodes)
    return bytes(model.SerializeToString(deterministic=True))


class _Rewriting:
    """One pass over a graph, in its order.

    Attributes:
        count: layers and tables that were replaced so far.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._constants = {one.name: one for one in graph.initializer}
        self._rows: dict[str, str] = {}  # activation -> what its integers and steps are called by
        self._kept: dict[tuple[str, int], tuple[str, str]] = {}  # weights, axis -> their integers and steps
        self.count = 0

    def replaced(self, node: NodeProto) -> Iterator[NodeProto]:
        """The nodes that stand for one."""
        if node.op_type == "MatMul" and self._is_weight(node.input[1], SMALLEST_WIDTH):
            yield from self._product(node)
        elif node.op_type in ("Gather", "GatherND") and self._is_table(node):
            yield from self._lookup(node)
        else:
            yield node

    def finish(self, nodes: list[NodeProto]) -> None:
        """Put the nodes in, and drop the constants that nobody reads any more."""
        graph = self._graph
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in _CONSTANTS.items())
        read = {name for node in nodes for name in node.input} | {one.name for one in graph.output}
        kept = [one for one in graph.initializer if one.name in read]
        for field, values in ((graph.node, nodes), (graph.initializer, kept)):
            del field[:]
            field.extend(values)

    def _is_weight(self, name: str, smallest: int) -> bool:
        constant = self._constants.get(name)
        return (
            constant is not None
            and constant.data_type == TensorProto.FLOAT
            and len(constant.dims) == 2
            and min(constant.dims) >= smallest
        )

    def _is_table(self, node: NodeProto) -> bool:
        """Rows are looked up by one index each."""
        options = {one.name: one.i for one in node.attribute}
        return (
            self._is_weight(node.input[0], 1)
            and self._constants[node.input[0]].dims[0] >= SMALLEST_TABLE
            and options.get("axis", 0) == 0
            and options.get("batch_dims", 0) == 0
        )

    def _product(self, node: NodeProto) -> Iterator[NodeProto]:
        (x, weights), (out,) = node.input, node.output
        if x not in self._rows:
            yield from self._activation(x)
        row, (integers, steps) = self._rows[x], self._integers(weights, WEIGHT_LEVELS, axis=0)
        self.count += 1
        part = f"{out}_int8"
        yield helper.make_node("MatMulInteger", [f"{row}_integers", integers, "int8_zero"], [f"{part}_sums"])
        yield helper.make_node("Cast", [f"{part}_sums"], [f"{part}_float"], to=TensorProto.FLOAT)
        # One by one: onnxruntime 1.32 takes the product of both steps for one step of all rows.
        yield helper.make_node("Mul", [f"{part}_float", f"{row}_step"], [f"{part}_rows"])
        yield helper.make_node("Mul", [f"{part}_rows", steps], [out])

    def _activation(self, x: str) -> Iterator[NodeProto]:
        row = self._rows[x] = f"{x}_int8"
        yield helper.make_node("Abs", [x], [f"{row}_sizes"])
        yield helper.make_node(
            "ReduceMax", [f"{row}_sizes", "int8_last_axis"], [f"{row}_largest"], keepdims=1
        )
        yield helper.make_node("Max", [f"{row}_largest", "int8_tiny"], [f"{row}_bounded"])
        yield helper.make_node("Div", [f"{row}_bounded", "int8_levels"], [f"{row}_step"])  # [.., 1]
        yield helper.make_node("Div", [x, f"{row}_step"], [f"{row}_scaled"])
        yield helper.make_node(
            "QuantizeLinear", [f"{row}_scaled", "int8_one", "int8_zero"], [f"{row}_integers"]
        )

    def _lookup(self, node: NodeProto) -> Iterator[NodeProto]:
        (table, index), (out,) = node.input, node.output
        integers, steps = self._integers(table, TABLE_LEVELS, axis=1)
        self.count += 1
        found = f"{out}_int8"
        for source, target in ((integers, f"{found}_row"), (steps, f"{found}_step")):
            lookup = helper.make_node(node.op_type, [source, index], [target])
            lookup.attribute.extend(node.attribute)
            yield lookup
        yield helper.make_node("Cast", [f"{found}_row"], [f"{found}_float"], to=TensorProto.FLOAT)
        yield helper.make_node("Mul", [f"{found}_float", f"{found}_step"], [out])

    def _integers(self, name: str, levels: int, *, axis: int) -> tuple[str, str]:
        """Names of a matrix in int8 and of its steps, one for each index of the other axis."""
        if (name, axis) not in self._kept:
            values = numpy_helper.to_array(self._constants[name])
            largest = np.abs(values).max(axis=axis, keepdims=axis == 1)
            steps = (np.maximum(largest, TINY) / levels).astype(np.float32)
            integers = np.rint(values / steps).astype(np.int8)
            found = self._kept[name, axis] = f"{name}_int8_{axis}", f"{name}_steps_{axis}"
            for value, called in zip((integers, steps), found, strict=True):
                self._graph.initializer.append(numpy_helper.from_array(value, called))
        return self._kept[name, axis]
