"""From what a caller asks for to vectors, the same for every protocol.

    protocol's body -> EncodeRequest -> Target: model, prompt, form -> inputs -> engine -> EncodeResult

Knows no protocol: neither how a body is parsed nor how an answer is written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from fastapi import Request

from app import engine
from app.access import CALLER
from app.api.head_options import terms_of
from app.api.inputs import GivenInputs, check_count, read_inputs
from app.api.large import NUMBER, off_loop
from app.api.vectors import Vectors
from app.http.context import Context
from app.http.disconnect import unless_left
from app.http.errors import InvalidRequest
from app.settings import Settings
from bundle import Facts, Input, OutputType, Truncate, prompted
from bundle.quantize import FLOATS, PACKED

CACHED_HEADER = "X-Embedding-Cached"


class EncodeRequest(NamedTuple):
    """What is asked for, in the words of the domain.

    Attributes:
        inputs: to be read by the model.
        number_bytes: of the answer, for each dimension of a vector.
        model: by default the server's default model.
        version: exactly this one; by default the current one.
        space: what the vectors must be of.
        adapted: `space` may be that of an adapter, whose vectors are near those that are asked for.
        dim: length of the vectors; by default the full one.
        dim_field: what the caller calls that.
        prompt: name of what is put before every input; by default the encoder's default, "" for none.
        output: type of the vectors; a part of their space.
        unit: they are to have norm 1, as most protocols promise; a part of it, too, where the model's do not.
    """

    inputs: GivenInputs
    number_bytes: float = NUMBER
    model: str | None = None
    version: str | None = None
    space: str | None = None
    dim: int | None = None
    dim_field: str = "dimensions"
    truncate: Truncate = "none"
    prompt: str | None = None
    output: OutputType = "float32"
    unit: bool = False
    adapted: bool = False


class EncodeResult(NamedTuple):
    """Vectors, and what is to be said of them.

    Attributes:
        loaded: the encoder that gave them.
        vectors: float32 [n, dim], in the order of the inputs.
        output: the type that was asked for.
        cached: different inputs that were not computed for this request; None without a cache.
        unit: norm 1 was asked for.
        asked_space: the space that the vectors had to be of, if one was named.
    """

    loaded: engine.Loaded
    vectors: Vectors
    facts: Sequence[Facts]
    timings: engine.Timings
    output: OutputType = "float32"
    cached: int | None = None
    unit: bool = False
    asked_space: str | None = None

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    @property
    def space(self) -> str:
        """The space of the vectors: the one that was asked for, which an encoder may only have joined."""
        if self.asked_space is not None:
            return self.asked_space
        return self.loaded.manifest.space_of(self.dim, self.output, unit=self.unit)

    @property
    def quantized(self) -> npt.NDArray[Any]:
        """The vectors in the type that was asked for. Raises InvalidRequest where they cannot be packed."""
        return self.as_type(self.output)

    def as_type(self, kind: OutputType) -> npt.NDArray[Any]:
        """The vectors in another type. Raises InvalidRequest where they cannot be packed."""
        if kind in PACKED and self.dim % 8:
            raise InvalidRequest(
                f"{kind} packs eight dimensions into a byte, and these vectors have {self.dim}; "
                "ask for other dimensions or another type",
                code="invalid_output",
            )
        return self.loaded.encoder.quantized(self.vectors, kind, unit=self.unit)

    @property
    def tokens(self) -> int:
        """The number of tokens read, over all inputs."""
        return sum(fact.tokens for fact in self.facts)

    def identity(self) -> dict[str, str]:
        """Which vectors these are, for a file's or a stream's metadata."""
        manifest = self.loaded.manifest
        return {
            "encodery.model": manifest.name,
            "encodery.version": manifest.version,
            "encodery.space": self.space,
            "encodery.dim": str(self.dim),
            "encodery.output": self.output,
        }

    def names(self) -> dict[str, str]:
        """The headers that are known before anything is encoded."""
        return names_of(self.loaded, self.space)

    def headers(self) -> dict[str, str]:
        """What every protocol's answer says, without a change to its body."""
        cached = {} if self.cached is None else {CACHED_HEADER: str(self.cached)}
        return headers_of(self.loaded, self.space, self.timings) | cached


def names_of(loaded: engine.Loaded, space: str) -> dict[str, str]:
    """The headers that say which model answers, and in which space."""
    manifest = loaded.manifest
    return {"X-Model-Version": f"{manifest.name}/{manifest.version}", "X-Embedding-Space": space}


def headers_of(loaded: engine.Loaded, space: str, timings: engine.Timings) -> dict[str, str]:
    """The same, and where the time went."""
    milliseconds = (1e3 * timings.prepare_s, 1e3 * timings.queue_s, 1e3 * timings.run_s)
    timing = "prepare;dur={:.2f}, queue;dur={:.2f}, run;dur={:.2f}".format(*milliseconds)
    return names_of(loaded, space) | {"Server-Timing": timing}


@contextmanager
def charged(count: int) -> Iterator[Callable[[Sequence[Facts]], None]]:
    """Count so many inputs as in work for the caller's key; yields what takes the tokens from its budget."""
    rates = CALLER.get().rates
    if rates is None:
        yield lambda facts: None
        return
    began_s = rates.begin(count)
    try:
        yield lambda facts: rates.spend_tokens(one.tokens for one in facts)
    finally:
        rates.end(count, began_s)


class Target(NamedTuple):
    """What a request comes down to once its model is found.

    Attributes:
        dim: length of the vectors.
        prompt: text before every input; empty for none.
        space: what the vectors have to be of, if the caller named it.
    """

    loaded: engine.Loaded
    dim: int
    prompt: str
    truncate: Truncate
    output: OutputType
    unit: bool
    space: str | None = None

    async def encode(
        self,
        context: Context,
        inputs: Sequence[Input],
        *,
        timeout_s: float,
        priority: engine.Priority,
        size: int = 0,
        are_own: bool = True,
    ) -> EncodeResult:
        """The vectors. Raises EngineError, InputError, RateLimited.

        Inputs that are not the caller's own, but made of them, are neither kept nor shown to a shadow.
        """
        read = prompted(inputs, self.prompt)
        with charged(len(inputs)) as spend:
            done = await context.engine.encode(
                self.loaded,
                read,
                truncate=self.truncate,
                timeout_s=timeout_s,
                priority=priority,
                owner=CALLER.get().key.name,
                size=size,
                use_cache=are_own,
            )
        spend(done.facts)
        context.metrics.encoded(self.loaded, done)
        if context.traces is not None:
            context.traces.encoded(self.loaded, done)
        if are_own:
            context.shadows.offer(self.loaded, read, self.truncate)
        vectors = self.loaded.encoder.cut(done.vectors, self.dim, unit=self.unit)
        return EncodeResult(
            self.loaded, vectors, done.facts, done.timings, self.output, done.cached, self.unit, self.space
        )

    def encode_nothing(self) -> EncodeResult:
        """The result for no inputs: says which vectors others would be, and of what type."""
        vectors = np.zeros((0, self.dim), np.float32)
        timings = engine.Timings(0, 0, 0)
        return EncodeResult(
            self.loaded, vectors, (), timings, self.output, unit=self.unit, asked_space=self.space
        )


async def encode(context: Context, request: Request, asked: EncodeRequest) -> EncodeResult:
    """The vectors. Work for a client that leaves is dropped.

    Raises:
        EngineError, InputError, InvalidRequest: as `app.http.errors` tells them.
        ClientDisconnect: the client left.
    """
    target, given, settings = resolve(context, asked), asked.inputs, context.settings
    check_count(len(given), settings)
    check_answer(len(given) * target.dim * asked.number_bytes, settings)
    inputs = await off_loop(given.work, lambda: read_inputs(given, target.loaded, settings, target.truncate))
    return await encode_inputs(context, request, target, inputs)


def check_answer(size: float, settings: Settings) -> None:
    """Raise InvalidRequest for an answer that would be, or is, larger than the limit."""
    if size > settings.max_answer_bytes:
        raise InvalidRequest(
            f"the answer would take {size:.0f} bytes, the limit is {settings.max_answer_bytes} "
            "(ENCODERY_MAX_ANSWER_BYTES); send fewer or shorter inputs, or for many vectors ask for base64 "
            "or raw ones, fewer dimensions, or POST /encode as NDJSON, which is answered line by line",
            code="answer_too_large",
        )


def encode_inputs(
    context: Context, request: Request, target: Target, inputs: Sequence[Input]
) -> Awaitable[EncodeResult]:
    """The vectors of inputs that were read, with the deadline and the priority of the request's head."""
    priority, timeout_s, size = terms_of(request, context.settings)
    encoding = target.encode(context, inputs, timeout_s=timeout_s, priority=priority, size=size)
    return unless_left(request, encoding)


def resolve(context: Context, asked: EncodeRequest) -> Target:
    """The encoder, and the form of its vectors. Raises EngineError, InvalidRequest."""
    asked = _near(context, asked)
    loaded = find(context, asked)
    prompt = prompt_of(loaded, asked.prompt)
    dim = _dim(loaded, asked)
    return Target(loaded, dim, prompt, asked.truncate, asked.output, asked.unit, asked.space)


def _near(context: Context, asked: EncodeRequest) -> EncodeRequest:
    """The same, in the space that an adapter's vectors are near to, where one of an adapter is expected.

    Raises SpaceMismatch for a caller that does not say that near is good enough.
    """
    if asked.space is None:
        return asked
    registry, name = context.registry, asked.model or context.default_model
    for one in registry.loaded:
        manifest = one.manifest
        if manifest.adapts is None or asked.space != manifest.space_of(asked.dim or manifest.dim):
            continue
        if registry.resolve(name)[0] == manifest.name:
            break
        near = manifest.adapts.target.space + asked.space.removeprefix(manifest.space)
        if not asked.adapted:
            raise engine.SpaceMismatch(
                f"vectors of that space were turned towards {near} by the adapter {manifest.name}, and are "
                'near those that this model gives, not equal to them; send "adapted": true to search them'
            )
        return asked._replace(space=near)
    return asked


def find(context: Context, asked: EncodeRequest) -> engine.Loaded:
    """The encoder. Raises EngineError."""
    name, space = asked.model or context.default_model, _unquantized(asked)
    return context.registry.find(name, version=asked.version, space=space, dim=asked.dim, unit=asked.unit)


def prompt_of(loaded: engine.Loaded, name: str | None) -> str:
    """The text to put before every input. Raises InvalidRequest for a prompt that is not there."""
    manifest = loaded.manifest
    text = manifest.prompt(name)
    if text is None:
        has = f"it has: {', '.join(manifest.prompts)}" if manifest.prompts else "it has none"
        raise InvalidRequest(
            f"{manifest.name}/{manifest.version} has no prompt of that name; {has}",
            code="unknown_prompt",
            param="prompt",
        )
    return text


def _dim(loaded: engine.Loaded, asked: EncodeRequest) -> int:
    manifest = loaded.manifest
    if asked.dim is not None and asked.dim not in manifest.dimensions:
        allowed = ", ".join(map(str, manifest.dimensions))
        raise InvalidRequest(
            f"{manifest.name}/{manifest.version} has no vectors of that length; it has: {allowed}",
            code="invalid_dimensions",
            param=asked.dim_field,
        )
    return asked.dim or manifest.dim


def _unquantized(ask: EncodeRequest) -> str | None:
    """The space of the vectors that are asked for before they are quantized. Raises SpaceMismatch."""
    if ask.space is None or ask.output in FLOATS:
        return ask.space
    space, _, kind = ask.space.rpartition("+")
    if kind != ask.output:
        raise engine.SpaceMismatch(
            f"vectors as {ask.output} are of a space that ends in +{ask.output}, and cannot be compared "
            "with those of the space you expect"
        )
    return space
