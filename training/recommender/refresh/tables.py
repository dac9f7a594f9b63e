"""Tables of known items in the graph of an exported tower: found by what becomes of their rows, and extended.

A table has a row for each entry of a vocabulary: `FIRST` special ones, then the items. What a table is for is
read from the graph, not from names, which the exporter chooses: `encoders.export_modules` says what for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from bundle.preprocess.features.schema import FIRST
from training.errors import ExportError

Array = npt.NDArray[np.generic]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class EightBits:
    """A table in 8 bits a number: names of its int8 rows (FIRST + k, c) and of their scales (FIRST + k,)."""

    rows: str
    scales: str


class Graph:
    """An exported tower whose tables can be read and extended.

    Args:
        content: of model.onnx.
        items: k, how many are in the vocabulary.
    """

    def __init__(self, content: bytes, items: int) -> None:
        self.model = onnx.load_from_string(content)
        self._graph, self._entries = self.model.graph, FIRST + items
        self._values = {one.name: one for one in self._graph.initializer}
        self._inputs = {one.name for one in self._graph.input}
        self._makers = {name: node for node in self._graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self._graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self.tables = [one.name for one in self._graph.initializer if list(one.dims)[:1] == [self._entries]]

    def value(self, name: str) -> Array:
        """A table."""
        return numpy_helper.to_array(self._values[name])

    def eight_bits(self) -> list[EightBits]:
        """The tables in 8 bits a number: rows and scales meet in a product."""
        found = []
        for name in self.tables:
            if self.value(name).dtype == np.int8:
                product = self.first(name, "Mul")
                [scales] = [
                    other for other in self.sources(product) if other in self.tables and other != name
                ]
                found.append(EightBits(name, scales))
        return found

    def stands_in_for(self, name: str) -> str | None:
        """The input of the graph that a table's rows take the place of where it is missing, if they do."""
        try:
            choice = self.first(name, "Where")
        except ExportError:
            return None
        given = [one for one in self._behind(choice.input[0]) if one in self._inputs]
        return given[0] if len(set(given)) == 1 else None

    def first(self, name: str, operator: str) -> onnx.NodeProto:
        """The nearest node of an operator that a value flows into. Raises ExportError: there is none."""
        waiting, seen = deque([name]), {name}
        while waiting:
            for node in self._readers.get(waiting.popleft(), ()):
                if node.op_type == operator:
                    return node
                new = [one for one in node.output if one not in seen]
                seen.update(new)
                waiting.extend(new)
        raise ExportError(
            f"the graph is of another form than this version exports: no {operator} after a table"
        )

    def added_to(self, table: EightBits) -> str:
        """The value that stands for items without a row where a table's rows are read: (n, m, c)."""
        [read] = self.first(table.rows, "Mul").output
        total = self.first(read, "Add")
        for name in total.input:
            if table.rows not in self._behind(name) and self._makers[name].op_type == "MatMul":
                return str(self._makers[name].input[1])
        raise ExportError("the graph is of another form than this version exports: new entries are not read")

    def with_outputs(self, names: Sequence[str]) -> bytes:
        """The graph that gives these values, in place of its vectors."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        return cast(bytes, model.SerializeToString())

    def sources(self, node: onnx.NodeProto) -> list[str]:
        """Names of all values that a node's inputs come from."""
        return [found for name in node.input for found in self._behind(name)]

    def _behind(self, name: str) -> Iterator[str]:
        waiting, seen = deque([name]), {name}
        while waiting:
            yield (now := waiting.popleft())
            if now in self._makers:
                new = [one for one in self._makers[now].input if one and one not in seen]
                seen.update(new)
                waiting.extend(new)

    def extended(self, rows: Mapping[str, Array]) -> bytes:
        """The graph with more rows behind the last of every table.

        Args:
            rows: of each table, (new, ...); wider ones widen the table with zeros, which are padding.

        Raises:
            ExportError: rows of one are missing.
        """
        if set(rows) != set(self.tables):
            raise ExportError(
                "the graph is of another form than this version exports: tables of no known use"
            )
        for name in self.tables:
            table = _stacked(self.value(name), rows[name])
            self._values[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(table), name))
        del self._graph.value_info[:]
        return cast(bytes, self.model.SerializeToString(deterministic=True))


def _stacked(table: Array, rows: Array) -> Array:
    if table.ndim == 2 and rows.shape[1] != table.shape[1]:
        width = max(table.shape[1], rows.shape[1])
        table, rows = (np.pad(one, [(0, 0), (0, width - one.shape[1])]) for one in (table, rows))
    return np.concatenate([table, rows.astype(table.dtype)])


def in_eight_bits(rows: npt.NDArray[np.float32]) -> tuple[Array, Array]:
    """Rows as `training.layers.Int8Table` keeps them: int8 (n, c), and their scales (n,)."""
    scales = np.maximum(np.abs(rows).max(axis=1), np.float32(1e-12)) / np.float32(127)
    return np.round(rows / scales[:, None]).astype(np.int8), scales.astype(np.float32)


def repeated(row: npt.NDArray[Number], count: int) -> npt.NDArray[Number]:
    """One row, so many times."""
    return np.repeat(row[None], count, axis=0)
