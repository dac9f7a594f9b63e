"""From a trained torch module to a bundle's draft, proven on the way.

    module -> ONNX bytes -> onnxruntime -> compared with torch, alone and in padded batches -> Draft

An exporter can write a graph that fails to load, or whose padded rows are wrong without any error, so
nothing is trusted that was not run.
"""

from __future__ import annotations

import json
import logging
import platform
import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from bundle.encoder import OUTPUT, Runner
from bundle.golden import TOLERANCE, deviation, golden_of
from bundle.inputs import Input
from bundle.lexical import Lexical
from bundle.manifest import Joined, Metric, Parity, Trained
from bundle.preprocess import KINDS, Layout, Prepared, Preprocessor
from bundle.publish import Draft
from training.card import model_card
from training.errors import ExportError
from training.layers import HalfLinear
from training.provenance import Provenance
from training.threads import fastest_threads

OPSET = 20
GOLDEN_INPUTS = 24
BATCH_INPUTS, BATCH_COST = 7, 4096  # of the padded batches; attention's memory grows with length squared


@dataclass(frozen=True)
class Exportable:
    """A trained encoder and what its bundle must say.

    Attributes:
        model: takes the inputs of the preprocessor's first layout in order, gives vectors (n, dim).
        preprocessor: content of tokenizer.json or features.json.
        parity_inputs: what the graph is compared on: varied lengths, odd ones among them; the first few
            become golden.json.
        dimensions: lengths a vector may be cut to.
        now: unix time that `time` features of the parity inputs are relative to.
        packed: the same encoder over the packed layout, exported in the place of `model`.
        joins: the space of another encoder that it was trained to be compared in.
        notes: of its graph, what the graph shall carry as metadata: key to JSON.
        lexical: statistics of words, for encoders of texts.
    """

    name: str
    description: str
    kind: str
    model: nn.Module
    preprocessor: bytes
    parity_inputs: Sequence[Input]
    dimensions: Sequence[int]
    normalized: bool
    metric: Literal["cosine", "inner_product"]
    max_length: int
    now: float | None = None
    packed: nn.Module | None = None
    notes: Callable[[onnx.GraphProto], Mapping[str, Any]] | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    lexical: Lexical | None = None
    languages: Sequence[str] = ()
    respell: Literal[0, 1] = 0
    not_for: str = ""
    joins: Joined | None = None


def draft_of(encoder: Exportable, provenance: Provenance, metrics: Mapping[str, Metric]) -> Draft:
    """Export, compare, and describe. Raises ExportError."""
    preprocessor = KINDS[encoder.kind].preprocessor(
        encoder.preprocessor, encoder.max_length, encoder.languages, respell=encoder.respell
    )
    prepared = preprocessor.prepare(encoder.parity_inputs, "end")
    with fastest_threads() as threads:
        expected = run_torch(encoder.model, preprocessor, prepared, batch_size=1, run=threads.run)
    layout = packed_layout(preprocessor) if encoder.packed else preprocessor.layouts[0]
    graph = export_graph(encoder.packed or encoder.model, layout, prepared)
    graph = with_notes(graph, encoder.notes) if encoder.notes else graph
    parity = compare(graph, preprocessor, prepared, expected)
    keeps_arrays = KINDS[encoder.kind].golden_tolerance is not None
    golden = golden_of(
        encoder.parity_inputs[:GOLDEN_INPUTS],
        expected[:GOLDEN_INPUTS],
        encoder.now,
        prepared if keeps_arrays else (),
    ).to_bytes()
    draft = Draft(
        name=encoder.name,
        description=encoder.description,
        kind=encoder.kind,
        graph=graph,
        preprocessor=encoder.preprocessor,
        golden=golden,
        card="",
        dim=expected.shape[1],
        dimensions=encoder.dimensions or [expected.shape[1]],
        normalized=encoder.normalized,
        metric=encoder.metric,
        max_length=encoder.max_length,
        parity=parity,
        trained=trained(provenance, metrics),
        prompts=encoder.prompts,
        default_prompt=encoder.default_prompt,
        lexical=encoder.lexical,
        languages=encoder.languages,
        respell=encoder.respell,
        not_for=encoder.not_for,
        joins=encoder.joins,
    )
    return model_card(draft, provenance, encoder.parity_inputs[0].to_json())


def trained(provenance: Provenance, metrics: Mapping[str, Metric]) -> Trained:
    """What a manifest says of the origin."""
    return Trained(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        git_commit=git_commit(),
        config_sha256=provenance.config_sha256,
        data_sha256=provenance.data_sha256,
        seed=provenance.seed,
        libraries=libraries(),
        metrics=dict(metrics),
    )


def packed_layout(preprocessor: Preprocessor) -> Layout:
    """The preprocessor's layout without padding."""
    return next(layout for layout in preprocessor.layouts if layout.is_packed)


def export_graph(model: nn.Module, layout: Layout | Preprocessor, prepared: Sequence[Prepared]) -> bytes:
    """ONNX bytes with one output, `vector`; batch and lengths are free."""
    arrays = layout.collate(prepared[:4])  # a batch of one would fix the batch size
    inputs = tuple(torch.from_numpy(arrays[name]) for name in layout.input_names)
    free = tuple({axis: torch.export.Dim.AUTO for axis in range(tensor.ndim)} for tensor in inputs)
    with _quiet():
        program = torch.onnx.export(
            _Positional(model).eval(),
            inputs,
            input_names=list(layout.input_names),
            output_names=[OUTPUT],
            dynamic_shapes=(free,),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return narrowed(stripped(program.model_proto.SerializeToString()), half_weights(model))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own deprecated calls and an absent torchvision; the graph is proven later."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class _Positional(nn.Module):
    """Any encoder as a function of a list of inputs: the exporter asks for shapes by that structure."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.model(*inputs))


def stripped(content: bytes) -> bytes:
    """Take out the exporter's notes: they name files of the machine and differ from run to run."""
    model = onnx.load_from_string(content)
    model.producer_name, model.producer_version, model.doc_string = "encodery", "", ""
    del model.metadata_props[:]
    graph = model.graph
    graph.name, graph.doc_string = "encoder", ""
    del graph.value_info[:]
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    return cast(bytes, model.SerializeToString(deterministic=True))


def narrowed(content: bytes, weights: Sequence[npt.NDArray[np.float16]]) -> bytes:
    """Store these weights in float16 where the exporter widened them, as it does with small ones.

    It folds a cast of up to 8,192 numbers into its constant. Float16 widened and narrowed again is the same,
    so no vector changes.
    """
    model = onnx.load_from_string(content)
    graph = model.graph
    known = {_widened(one) for weight in weights for one in (weight, weight.T)}
    casts = []
    for constant in graph.initializer:
        values = onnx.numpy_helper.to_array(constant)
        if constant.data_type != onnx.TensorProto.FLOAT or _widened(values) not in known:
            continue
        wide, narrow = constant.name, f"{constant.name}_float16"
        constant.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), narrow))
        casts.append(onnx.helper.make_node("Cast", [narrow], [wide], wide, to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return cast(bytes, model.SerializeToString(deterministic=True))


def half_weights(model: nn.Module) -> list[npt.NDArray[np.float16]]:
    """The matrices of a module that are kept in float16."""
    return [part.weight.numpy() for part in model.modules() if isinstance(part, HalfLinear)]


def _widened(values: npt.NDArray[np.generic]) -> tuple[tuple[int, ...], bytes]:
    """Equal for arrays of equal numbers."""
    return values.shape, np.ascontiguousarray(values, dtype=np.float32).tobytes()


def with_notes(content: bytes, notes: Callable[[onnx.GraphProto], Mapping[str, Any]]) -> bytes:
    """The graph with notes on itself as its metadata."""
    model = onnx.load_from_string(content)
    for key, value in notes(model.graph).items():
        model.metadata_props.add(key=key, value=json.dumps(value, sort_keys=True))
    return cast(bytes, model.SerializeToString(deterministic=True))


def compare(
    graph: bytes,
    preprocessor: Preprocessor,
    prepared: Sequence[Prepared],
    expected: npt.NDArray[np.float32],
) -> Parity:
    """Run the graph on the parity inputs, each alone and in padded batches. Raises ExportError."""
    try:
        runner = Runner(preprocessor, graph)
        alone = np.concatenate([runner.run([one]) for one in prepared])
        batched = np.concatenate([runner.run(batch) for batch in padded_batches(prepared)])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise ExportError(f"onnxruntime cannot run the graph: {str(error).splitlines()[0]}") from error
    off_torch, off_batches = float(np.abs(alone - expected).max()), float(np.abs(alone - batched).max())
    for what, other in (("torch", expected), ("its own batches", batched)):
        if not (difference := deviation(alone, other)) <= TOLERANCE:  # also catches nan
            raise ExportError(f"the graph is {difference:.1e} off {what}, the limit is {TOLERANCE:.0e}")
    return Parity(inputs=len(prepared), max_abs_diff=off_torch, batch_max_abs_diff=off_batches)


def padded_batches(prepared: Sequence[Prepared]) -> Iterator[list[Prepared]]:
    """Batches in order, of inputs as unlike as they come, but never a long one many times over."""
    batch: list[Prepared] = []
    for one in prepared:
        longest = max(each.cost for each in (*batch, one))
        if batch and (len(batch) == BATCH_INPUTS or longest * (len(batch) + 1) > BATCH_COST):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def git_commit() -> str:
    """The commit this code stands at, `+` when something is changed; empty outside its repository."""
    root = Path(__file__).parent
    if not _git(root, "ls-files", Path(__file__).name):  # installed into somebody else's repository
        return ""
    commit = _git(root, "rev-parse", "HEAD")
    return f"{commit}+" if commit and _git(root, "status", "--porcelain", "--", ".", "../bundle") else commit


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)  # noqa: S603, S607  # git from PATH, with fixed arguments
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def libraries() -> dict[str, str]:
    """Versions of what decides the numbers."""
    names = ("torch", "onnx", "onnxscript", "onnxruntime", "tokenizers", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def run_torch(
    model: nn.Module,
    preprocessor: Preprocessor,
    prepared: Sequence[Prepared],
    batch_size: int = 256,
    run: Callable[[Callable[[], Tensor]], Tensor] = lambda forward: forward(),
) -> npt.NDArray[np.float32]:
    """Vectors of a torch encoder, in batches of like length; leaves it in evaluation mode.

    float32 [n, dim]; [0, 0] for no inputs, since only a run tells the dimension. `run` does a forward pass,
    on whatever threads; by default on torch's own number, which in training is the loop's.
    """
    if not prepared:
        return np.zeros((0, 0), dtype=np.float32)
    order = sorted(range(len(prepared)), key=lambda row: prepared[row].cost)
    vectors: list[Any] = [None] * len(prepared)
    model.eval()
    with torch.inference_mode():
        for i in range(0, len(order), batch_size):
            rows = order[i : i + batch_size]
            arrays = preprocessor.collate([prepared[row] for row in rows])
            inputs = [torch.from_numpy(arrays[name]) for name in preprocessor.input_names]
            out = run(partial(model, *inputs)).numpy()
            for row, vector in zip(rows, out, strict=True):
                vectors[row] = vector
    return np.stack(vectors).astype(np.float32)
