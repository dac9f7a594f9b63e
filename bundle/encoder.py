"""A bundle in memory: preprocessor plus onnxruntime session, from inputs to vectors.

    inputs -> prepare -> list[Prepared] -> run -> float32 [n, dim]

Thread-safe: both halves release the GIL, and neither keeps state between calls.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bundle.errors import InputError, IntegrityError
from bundle.graph import count_weights, has_loops
from bundle.inputs import Input, prompted
from bundle.lexical import InputType, Lexical, SparseVector
from bundle.preprocess import KINDS, HasTerms, Kind, Prepared, Preprocessor, Truncate
from bundle.quantize import OutputType, int8_limit, quantized
from bundle.sessions import Execution, open_session, source

if TYPE_CHECKING:
    from bundle.manifest import Manifest

OUTPUT = "vector"
MAX_EXAMPLES = 3
DEFAULT = Execution()
BATCH_COST = 2048  # for `encode`: padded tokens (or rows) per forward pass


class Runner:
    """A graph that onnxruntime accepts, fed by the preprocessor it was trained with.

    Args:
        preprocessor: one of its layouts gives the graph's inputs.
        graph: the content of model.onnx, or where it is prepared: `bundle.sessions`.
        threads: onnxruntime's threads per forward pass.
        same_bits: give a row the same bits in every batch, for some padding more.

    Raises:
        IntegrityError: onnxruntime refuses the graph, or its inputs and outputs are not as agreed.
    """

    def __init__(
        self, preprocessor: Preprocessor, graph: bytes | Path, threads: int = 1, *, same_bits: bool = False
    ) -> None:
        self._session, self._same_bits = open_session(graph, threads), same_bits
        inputs = {node.name for node in self._session.get_inputs()}
        outputs = [node.name for node in self._session.get_outputs()]
        layouts = [layout for layout in preprocessor.layouts if inputs <= set(layout.input_names)]
        if not layouts or outputs != [OUTPUT]:
            takes = " or ".join(str(sorted(layout.input_names)) for layout in preprocessor.layouts)
            raise IntegrityError(
                f"model.onnx takes {sorted(inputs)} and gives {outputs}; expected {takes} and ['{OUTPUT}']"
            )
        self.layout = layouts[0]
        self._input_names = [name for name in self.layout.input_names if name in inputs]
        self._free = {
            node.name: [axis for axis, size in enumerate(node.shape) if axis and not isinstance(size, int)]
            for node in self._session.get_inputs()
        }

    def run(self, batch: Sequence[Prepared]) -> npt.NDArray[np.float32]:
        """One forward pass. float32 [n, dim], rows in the order of the batch (n >= 1)."""
        arrays = self.layout.collate(batch)
        if self._same_bits:
            arrays = self.layout.even(arrays, self._free)
        feed = {name: arrays[name] for name in self._input_names}
        (vectors,) = self._session.run([OUTPUT], feed)
        return np.asarray(vectors, dtype=np.float32)


class Encoder:
    """One loaded encoder.

    Args:
        manifest: what the bundle says about itself.
        preprocessor: of the manifest's kind.
        graph: the content of model.onnx, already checked.
        execution: how it is to be run.
        examples: inputs as they stand in a request, to show what the encoder takes.
        calibration: vectors of this encoder, for the scale of int8; float32 [n, dim].
        lexical: statistics of words, if the bundle has them.

    Attributes:
        has_loops: a forward pass may take any time, so it needs a thread that can be given up.
        weights: how many numbers it has of each type: `bundle.graph.count_weights`.

    Raises:
        IntegrityError: as `Runner` does.
    """

    def __init__(
        self,
        manifest: Manifest,
        preprocessor: Preprocessor,
        graph: bytes,
        execution: Execution = DEFAULT,
        *,
        examples: Sequence[Any] = (),
        calibration: npt.NDArray[np.float32] | None = None,
        lexical: Lexical | None = None,
    ) -> None:
        self.manifest, self.preprocessor, self.lexical = manifest, preprocessor, lexical
        self.kind: Kind = KINDS[manifest.kind]
        self.examples = list(examples[:MAX_EXAMPLES])
        self._calibration = np.zeros((0, manifest.dim), np.float32) if calibration is None else calibration
        self._limits: dict[tuple[int, bool], float] = {}
        self.has_loops = has_loops(graph)
        self.weights = count_weights(graph)
        origin, threads, same_bits = source(graph, execution), execution.max_threads, execution.same_bits
        self._runner = Runner(preprocessor, origin, same_bits=same_bits)
        self._multithreaded = (
            Runner(preprocessor, origin, threads, same_bits=same_bits) if threads > 1 else None
        )

    @property
    def is_packed(self) -> bool:
        """A batch costs the sum of its inputs, since nothing is padded."""
        return self._runner.layout.is_packed

    def read(self, values: Sequence[Any], now: float | None = None) -> list[Input]:
        """Inputs as they stand in a request. Raises InputError for the first that is none of its kind."""
        read, inputs = self.preprocessor.from_json, list[Input]()
        for index, value in enumerate(values):
            try:
                inputs.append(read(value, now))
            except InputError as error:
                raise error.at(index) from None
        return inputs

    def prepare(self, inputs: Sequence[Input], truncate: Truncate = "none") -> list[Prepared]:
        """Check, tokenise and look up. Raises InputError for the first input that cannot be encoded."""
        return self.preprocessor.prepare(inputs, truncate)

    def key(self, one: Input) -> Hashable:
        """Equal for inputs that this encoder gives the same vector."""
        return self.preprocessor.key(one)

    def run(self, batch: Sequence[Prepared]) -> npt.NDArray[np.float32]:
        """One forward pass. float32 [n, dim], rows in the order of the batch (n >= 1)."""
        return self._runner.run(batch)

    @property
    def has_multithreaded(self) -> bool:
        """Tell whether `run_multithreaded` is something else than `run`."""
        return self._multithreaded is not None

    def run_multithreaded(self, batch: Sequence[Prepared]) -> npt.NDArray[np.float32]:
        """Run one forward pass with all threads that it was given, for when nothing else runs."""
        return (self._multithreaded or self._runner).run(batch)

    def encode(self, inputs: Sequence[Input], truncate: Truncate = "end") -> npt.NDArray[np.float32]:
        """Everything at once, in batches of like length, for evaluation and bulk work.

        The manifest's default prompt, if it has one, is put before every text.

        float32 [n, dim]; [0, dim] for no inputs.
        """
        prepared = self.prepare(prompted(inputs, self.manifest.prompt(None) or ""), truncate)
        vectors = np.zeros((len(prepared), self.manifest.dim), dtype=np.float32)
        for rows in batches([one.cost for one in prepared], BATCH_COST):
            vectors[rows] = self.run([prepared[row] for row in rows])
        return vectors

    def encode_sparse(
        self, inputs: Sequence[Input], role: InputType, truncate: Truncate = "end"
    ) -> list[SparseVector]:
        """What the words of each input weigh, without a prompt; `lexical` must be there."""
        return self.sparse(self.prepare(inputs, truncate), role)

    def cut(
        self, vectors: npt.NDArray[np.float32], dim: int, *, unit: bool = False
    ) -> npt.NDArray[np.float32]:
        """The first `dim` dimensions, normalised again where the full vectors are. float32 [n, dim].

        With `unit` they are normalised whatever the full ones are.
        """
        is_whole, is_normalized = dim == self.manifest.dim, self.manifest.normalized
        if is_whole and (is_normalized or not unit):
            return vectors
        shorter = vectors[:, :dim]  # [n, dim]
        return normalized(shorter) if unit or is_normalized else shorter.copy()

    def quantized(
        self, vectors: npt.NDArray[np.float32], kind: OutputType, *, unit: bool = False
    ) -> npt.NDArray[Any]:
        """Vectors of this encoder, as `cut` gives them, in fewer bits; the rules are in `bundle.quantize`."""
        form = vectors.shape[1], unit
        if form not in self._limits:
            self._limits[form] = int8_limit(self.cut(self._calibration, form[0], unit=unit))
        return quantized(vectors, kind, self._limits[form])

    @property
    def sparse_space(self) -> str | None:
        """The space of `sparse`; None for an encoder without `lexical`."""
        return self.manifest.sparse_space(self.kind.file)

    def sparse(self, batch: Sequence[Prepared], role: InputType) -> list[SparseVector]:
        """What the words of each weigh in BM25, by `lexical`, which must be there."""
        lexical, preprocessor = self.lexical, self.preprocessor
        assert lexical is not None
        assert isinstance(preprocessor, HasTerms)
        return [lexical.weigh(preprocessor.terms(one), role) for one in batch]

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one input."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.manifest.name,
        } | self.preprocessor.schema()


def normalized(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows of L2 norm 1; zeros stay. float32 [n, dim]."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.finfo(np.float32).tiny), dtype=np.float32)


def batches(costs: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Row numbers in batches of at most `budget` padded cost, like costs together."""
    batch: list[int] = []
    for row in sorted(range(len(costs)), key=costs.__getitem__):
        if batch and costs[row] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
