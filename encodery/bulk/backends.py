"""What encodes: a bundle on disk, on all cores, or a server. One bad input errs alone in both."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from bundle import Encoder, InputError, Prepared, Truncate, memory, prompted
from bundle.encoder import BATCH_COST, batches
from encodery.bulk.errors import BulkError

if TYPE_CHECKING:
    from encodery_client import Client

REQUEST_ITEMS = 256
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Identity:
    """Which vectors these are; what the output's metadata says."""

    model: str
    version: str
    space: str
    dim: int


@dataclass(frozen=True)
class Encoded:
    """A chunk's vectors.

    Attributes:
        vectors: float32 [good, dim], of the inputs without a fault, in order.
        faults: position in the chunk to the reason.
        truncated: positions in the chunk of inputs that were cut.
    """

    vectors: Vectors
    faults: Mapping[int, str]
    truncated: frozenset[int]


class Backend(Protocol):
    """Encodes chunks."""

    @property
    def identity(self) -> Identity:
        """Of every vector it gives."""
        ...

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON Schema of one input."""
        ...

    def encode(self, values: Sequence[Any]) -> Encoded:
        """Vectors of inputs as they stand in a request. Raises BulkError if nothing can be encoded."""
        ...

    def close(self) -> None:
        """End threads and connections."""
        ...


@dataclass(frozen=True)
class Options:
    """How inputs are encoded.

    Attributes:
        dim: fewer dimensions than the model has.
        now: unix time that `time` features are relative to.
        prompt: name of the model's prompt to stand before every text; None is its default, "" none.
    """

    truncate: Truncate = "none"
    dim: int | None = None
    now: float | None = None
    prompt: str | None = None


class Local:
    """A bundle in this process.

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
        self.identity = Identity(manifest.name, manifest.version, space, self._dim)
        self.schema = encoder.schema()

    def encode(self, values: Sequence[Any]) -> Encoded:
        prepared, faults = self._prepared(values)
        vectors = np.zeros((len(prepared), self._encoder.manifest.dim), np.float32)
        groups = list(batches([one.cost for one in prepared], BATCH_COST))

        def run(rows: list[int]) -> None:
            vectors[rows] = self._encoder.run([prepared[row] for row in rows])

        list(self._pool.map(run, groups))
        good = [position for position in range(len(values)) if position not in faults]
        cut = frozenset(at for at, one in zip(good, prepared, strict=True) if one.facts.truncated)
        return Encoded(self._encoder.cut(vectors, self._dim), faults, cut)

    def close(self) -> None:
        self._pool.shutdown()

    def _prepared(self, values: Sequence[Any]) -> tuple[list[Prepared], dict[int, str]]:
        """All at once; one by one if one of them is bad."""
        from_json = self._encoder.preprocessor.from_json
        now = time.time() if self._options.now is None else self._options.now
        inputs = prompted([from_json(value, now) for value in values], self._prompt)
        try:
            return self._encoder.prepare(inputs, self._options.truncate), {}
        except InputError:
            pass
        good: list[Prepared] = []
        faults: dict[int, str] = {}
        for position, item in enumerate(inputs):
            try:
                good += self._encoder.prepare([item], self._options.truncate)
            except InputError as error:
                faults[position] = error.reason
        return good, faults


class Remote:
    """A server.

    Args:
        client: pinned to a space, or pinning itself to the first answer's.
        options: of every input.
        schema: of the model there.
        probe: an input that it takes, to learn which vectors it gives.

    Raises:
        EncoderyClientError: the server refuses the options, or is not there.
    """

    def __init__(self, client: Client, options: Options, schema: Mapping[str, Any], probe: Any) -> None:
        self._client, self.schema = client, schema
        self._asked: dict[str, Any] = {"truncate": options.truncate}
        if options.dim is not None:
            self._asked["dimensions"] = options.dim
        if options.now is not None:
            self._asked["now"] = options.now
        if options.prompt is not None:
            self._asked["prompt"] = options.prompt
        first = client.answer([probe], **self._asked | {"truncate": "end"})
        self.identity = Identity(first.model, first.version, first.space, first.vectors.shape[1])
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="requests")

    def encode(self, values: Sequence[Any]) -> Encoded:
        starts = range(0, len(values), REQUEST_ITEMS)
        parts = self._pool.map(lambda start: self._part(values[start : start + REQUEST_ITEMS]), starts)
        return _joined(zip(starts, parts, strict=True))

    def close(self) -> None:
        self._pool.shutdown()
        self._client.close()

    def _part(self, values: Sequence[Any]) -> Encoded:
        """One request; around an input that is refused, two."""
        from encodery_client import RequestRefused

        if not values:
            return Encoded(np.zeros((0, self.identity.dim), np.float32), {}, frozenset())
        try:
            with _as_bulk_error():
                answer = self._client.answer(values, **self._asked)
            cut = frozenset(warned.index for warned in answer.warnings if warned.truncated)
            return Encoded(answer.vectors, {}, cut)
        except RequestRefused as refused:
            bad = refused.index
            if bad is None:
                raise BulkError(f"the server refuses: {refused}") from None
            reason = {0: str(refused).partition(": ")[2]}
            alone = Encoded(np.zeros((0, self.identity.dim), np.float32), reason, frozenset())
            before, after = self._part(values[:bad]), self._part(values[bad + 1 :])
            return _joined([(0, before), (bad, alone), (bad + 1, after)])


def _joined(parts: Iterable[tuple[int, Encoded]]) -> Encoded:
    """Parts of a chunk, each with its start in it, as one."""
    parts = list(parts)
    return Encoded(
        np.concatenate([part.vectors for _, part in parts]),
        {start + at: reason for start, part in parts for at, reason in part.faults.items()},
        frozenset(start + at for start, part in parts for at in part.truncated),
    )


class _as_bulk_error:  # a context manager, used as a function
    """What no other input would change ends the run, with a sentence."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from encodery_client import EncoderyClientError, RequestRefused, SpaceChanged

        is_about_an_input = isinstance(error, RequestRefused) and not isinstance(error, SpaceChanged)
        if isinstance(error, EncoderyClientError) and not is_about_an_input:
            raise BulkError(f"{error}; what is done is kept: give the same command to go on") from error
