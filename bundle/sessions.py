"""Sessions of onnxruntime over one graph, all from one copy of its weights.

A session rewrites a graph for the processor it runs on and packs its weights anew, so two sessions, or two
processes, would hold them twice. Written to files once, packed, they are mapped into memory by every
session that opens them: a further one costs about 1 MB.

    model.onnx -> optimised for this machine, weights packed -> DIRECTORY/DIGEST/ -> sessions, processes
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle.disk import waiting_lock
from bundle.errors import IntegrityError

if TYPE_CHECKING:
    import onnxruntime as ort

GRAPH, WEIGHTS = "graph.onnx", "weights.bin"
ROOM = 5  # times the graph: weights kept in few bits are widened, and packed ones are larger
SMALLEST_WEIGHT = 1024  # bytes; smaller ones stay in the graph


@dataclass(frozen=True)
class Execution:
    """The way to run an encoder.

    Attributes:
        max_threads: of a forward pass that has the machine to itself; it gets a session of its own.
        weights: a private directory for weights that sessions and processes share; None to share none.
        same_bits: give an input the same bits whatever is in a batch with it, for some padding more.
    """

    max_threads: int = 1
    weights: Path | None = None
    same_bits: bool = False


def open_session(graph: bytes | Path, threads: int = 1) -> ort.InferenceSession:
    """A session of that many threads a forward pass. Raises IntegrityError if the graph is refused."""
    ort, given = _onnxruntime(), graph if isinstance(graph, bytes) else str(graph)
    try:
        session = ort.InferenceSession(given, _options(threads), ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise IntegrityError(f"onnxruntime refuses model.onnx: {type(error).__name__}") from error
    session._model_bytes = None  # or its wrapper keeps the whole file, for another provider
    return session


def source(
    graph: bytes,
    execution: Execution,
    free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
) -> bytes | Path:
    """What to open sessions from: prepared files, made by whoever comes first, or the graph itself.

    Where there is no room for files each session has its own copy; nothing else changes.
    """
    directory = execution.weights
    if directory is None or free(directory) < ROOM * len(graph):
        return graph
    place = directory / hashlib.sha256(graph).hexdigest()
    with waiting_lock(directory):
        return place / GRAPH if place.exists() or _prepare(graph, place) else graph


def _prepare(graph: bytes, place: Path) -> bool:
    """Write the prepared graph; False if that cannot be done."""
    ort, options = _onnxruntime(), _options(1)
    made = Path(tempfile.mkdtemp(dir=place.parent))
    options.optimized_model_filepath = str(made / GRAPH)
    for name, value in {
        "session.optimized_model_external_initializers_file_name": WEIGHTS,
        "session.optimized_model_external_initializers_min_size_in_bytes": str(SMALLEST_WEIGHT),
        "session.save_external_prepacked_constant_initializers": "1",
    }.items():
        options.add_session_config_entry(name, value)
    try:
        ort.InferenceSession(graph, options, ["CPUExecutionProvider"])
        made.rename(place)
    except Exception:  # a graph that is refused is refused again, with a reason, when a session is opened
        shutil.rmtree(made, ignore_errors=True)
        return False
    return True


def _options(threads: int) -> ort.SessionOptions:
    ort = _onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False  # it keeps what loading took: `bundle.memory`
    options.enable_mem_pattern = False  # with it, memory grows with every new shape of batch
    for name, value in {
        "session.intra_op.allow_spinning": str(int(threads > 1)),  # worth a fifth of a lone forward pass
        "session.force_spinning_stop": "1",  # and not after it
        "session.load_model_format": "ONNX",  # no other: only ONNX was checked
    }.items():
        options.add_session_config_entry(name, value)
    options.log_severity_level = 4  # fatal only: failures come back as exceptions
    return options


def _onnxruntime() -> Any:
    """Load it when the first session is opened: who only reads tables of this package needs none."""
    import onnxruntime  # noqa: PLC0415  # see above

    return onnxruntime
