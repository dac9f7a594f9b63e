"""The two that encode: a bundle on disk, on all cores, or a server. In both a bad input errs alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from bundle import KINDS, Encoder, InputError, Kind, Prepared, Truncate, memory, prompted
from bundle.encoder import BATCH_COST, batches
from encodery.bulk.errors import BulkError

if TYPE_CHECKING:
    from encodery_client import Client

REQUEST_ITEMS = 256
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Identity:
    """The identity of vectors, and how they are compared, as the output's metadata has it.

    Attributes:
        metric: as in the manifest.
        normalized: all vectors have norm 1.
    """

    model: str
    version: str
    space: str
    dim: int
    metric: str
    normalized: bool


@dataclass(frozen=True)
class EncodedChunk:
    """The vectors of a chunk.

    Attributes:
        vectors: float32 [good, dim], of the inputs without a fault, in order.
        faults: position in the chunk to the reason.
        warnings: position in the chunk to what is to be told of that input, by name, as /encode has it.
    """

    vectors: Vectors
    faults: Mapping[int, str]
    warnings: Mapping[int, Mapping[str, Any]]

    def told(self, position: int) -> Mapping[str, Any]:
        """What is to be told of the input at that position; empty for nothing."""
        return self.warnings.get(position, {})


class Backend(Protocol):
    """Encodes chunks."""

    @property
    def identity(self) -> Identity:
        """The identity of every vector it gives."""
        ...

    @property
    def kind(self) -> Kind:
        """The kind of its inputs."""
        ...

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON Schema of one input."""
        ...

    def encode(self, values: Sequence[Any]) -> EncodedChunk:
        """Encode inputs as they stand in a request. Raises BulkError if nothing can be encoded."""
        ...

    def close(self) -> None:
        """End threads and connections."""
        ...


@dataclass(frozen=True)
class Options:
    """The options of every input.

    Attributes:
        dim: fewer dimensions than the model has.
        now: unix time that `time` features are relative to.
        prompt: name of the model's prompt to stand before every text; None is its default, "" none.
    """

    truncate: Truncate = "none"
    dim: int | None = None
    now: float | None = None
    prompt: str | None = None


class LocalBackend:
    """Encodes with a bundle, in this process.

    Args:
        encoder: loaded with one thread a forward pass.
        options: of every input.
        workers: forward passes at once.
    """

    def __init__(self, encoder: Encoder, options: Options, workers: int) -> None:
        manifest = encoder.manifest
        if options.dim not in (None, *manifest.dimensions):
            raise BulkError(f"--dimensions is one of {', '.join(map(str, manifest.dimensions))}")
        prompt = manifest.prompt(options.prompt)
        if prompt is None:
            raise BulkError(
                f"--prompt is one of {', '.join(manifest.prompts)}"
                if manifest.prompts
                else f"--prompt: {manifest.name}/{manifest.version} has no prompts"
            )
        memory.keep_freed()
        self._encoder, self._options, self._prompt = encoder, options, prompt
        self._dim = options.dim or manifest.dim
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="forward")
        space = manifest.space_of(self._dim)
        self.identity = Identity(
            manifest.name, manifest.version, space, self._dim, manifest.metric, manifest.normalized
        )
        self.kind, self.schema = encoder.kind, encoder.schema()

    def encode(self, values: Sequence[Any]) -> EncodedChunk:
        prepared, faults = self._prepare(values)
        vectors = np.zeros((len(prepared), self._encoder.manifest.dim), np.float32)
        groups = list(batches([one.cost for one in prepared], BATCH_COST))

        def run(rows: list[int]) -> None:
            vectors[rows] = self._encoder.run([prepared[row] for row in rows])

        list(self._pool.map(run, groups))
        good = [position for position in range(len(values)) if position not in faults]
        told = ((at, one.facts.warnings) for at, one in zip(good, prepared, strict=True))
        warnings = {at: found for at, found in told if found}
        return EncodedChunk(self._encoder.cut(vectors, self._dim), faults, warnings)

    def close(self) -> None:
        self._pool.shutdown()

    def _prepare(self, values: Sequence[Any]) -> tuple[list[Prepared], dict[int, str]]:
        """Prepare all at once; one by one if one of them is bad."""
        now = time.time() if self._options.now is None else self._options.now
        try:
            return self._prepare_all(values, now), {}
        except InputError:
            pass
        good: list[Prepared] = []
        faults: dict[int, str] = {}
        for position, value in enumerate(values):
            try:
                good += self._prepare_all([value], now)
            except InputError as error:
                faults[position] = _reason(error.path, error.reason)
        return good, faults

    def _prepare_all(self, values: Sequence[Any], now: float) -> list[Prepared]:
        inputs = prompted(self._encoder.read(values, now), self._prompt)
        return self._encoder.prepare(inputs, self._options.truncate)


class RemoteBackend:
    """Encodes with a server.

    Args:
        client: pinned to a space, or pinning itself to the first answer's.
        model: its name there.
        version: of the model; None is the current one.
        options: of every input.

    Raises:
        BulkError: the server's model is of a kind that is unknown here.
        EncoderyClientError: the server refuses the options, or is not there.
    """

    def __init__(self, client: Client, model: str, version: str | None, options: Options) -> None:
        self._client, self.schema = client, client.schema(model)
        manifest = _manifest(client.model(model), version)
        self.kind = KINDS[manifest["kind"]]
        self._parameters: dict[str, Any] = {"truncate": options.truncate}
        if options.dim is not None:
            self._parameters["dimensions"] = options.dim
        if options.now is not None:
            self._parameters["now"] = options.now
        if options.prompt is not None:
            self._parameters["prompt"] = options.prompt
        # An input that it takes, to learn which vectors it gives.
        first = client.answer(self.schema["examples"][:1], **self._parameters | {"truncate": "end"})
        dim = first.vectors.shape[1]
        self.identity = Identity(
            first.model, first.version, first.space, dim, manifest["metric"], manifest["normalized"]
        )
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="requests")

    def encode(self, values: Sequence[Any]) -> EncodedChunk:
        starts = range(0, len(values), REQUEST_ITEMS)
        parts = self._pool.map(lambda start: self._part(values[start : start + REQUEST_ITEMS]), starts)
        return _joined(zip(starts, parts, strict=True))

    def close(self) -> None:
        self._pool.shutdown()
        self._client.close()

    def _part(self, values: Sequence[Any]) -> EncodedChunk:
        """Send one request; around an input that is refused, two."""
        from encodery_client import RequestRefused

        if not values:
            return EncodedChunk(np.zeros((0, self.identity.dim), np.float32), {}, {})
        try:
            with _as_bulk_error():
                answer = self._client.answer(values, **self._parameters)
            warnings = {warning.index: dict(warning.details) for warning in answer.warnings}
            return EncodedChunk(answer.vectors, {}, warnings)
        except RequestRefused as refused:
            bad = refused.index
            if bad is None:
                raise BulkError(f"the server refuses: {refused}") from None
            path = (refused.param or "").partition("]")[2]
            reason = {0: _reason(path, str(refused).partition(": ")[2])}
            alone = EncodedChunk(np.zeros((0, self.identity.dim), np.float32), reason, {})
            before, after = self._part(values[:bad]), self._part(values[bad + 1 :])
            return _joined([(0, before), (bad, alone), (bad + 1, after)])


def _reason(path: str, reason: str) -> str:
    """Why an input is bad, after the place in it, for example `history[2].time`."""
    return f"{path.lstrip('.')}: {reason}" if path else reason


def _manifest(detail: Mapping[str, Any], version: str | None) -> Mapping[str, Any]:
    """Find the manifest of a version in what GET /models/{name} answers. Raises BulkError."""
    wanted = version or detail["current"]
    found = next((one for one in detail["versions"] if one["version"] == wanted), None)
    if found is None:
        raise BulkError(f"the server has not loaded {detail['name']}/{wanted}")
    if found["kind"] not in KINDS:
        raise BulkError(f"{detail['name']} takes inputs of the kind {found['kind']!r}; upgrade encodery")
    return dict(found)


def _joined(parts: Iterable[tuple[int, EncodedChunk]]) -> EncodedChunk:
    """Join parts of a chunk, each with its start in it."""
    parts = list(parts)
    return EncodedChunk(
        np.concatenate([part.vectors for _, part in parts]),
        {start + at: reason for start, part in parts for at, reason in part.faults.items()},
        {start + at: told for start, part in parts for at, told in part.warnings.items()},
    )


@contextmanager
def _as_bulk_error() -> Iterator[None]:
    """Let an error that no other input would change end the run, with a sentence."""
    from encodery_client import EncoderyClientError, RequestRefused, SpaceChanged

    try:
        yield
    except EncoderyClientError as error:
        if isinstance(error, RequestRefused) and not isinstance(error, SpaceChanged):
            raise  # about an input
        raise BulkError(f"{error}; what is done is kept: give the same command to go on") from error
