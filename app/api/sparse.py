"""Sparse vectors of texts: what their words weigh in BM25, by the statistics of the bundle.

    SparseRequest -> SparseTarget -> terms -> weights -> SparseResult

No graph runs, so the work is done beside the engine's: `app.side_work`. The weights are of `bundle.lexical`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from fastapi import Request

from app import engine
from app.api.head_options import terms_of
from app.api.inputs import GivenInputs, check_count, read_inputs
from app.api.large import off_loop, sliced
from app.api.service import charged, check_answer, headers_of, names_of, prompt_of
from app.http.context import Context
from app.http.disconnect import unless_left
from app.http.errors import InvalidRequest
from bundle import Facts, Input, InputError, InputType, SparseVector, Truncate
from bundle.preprocess import HasTerms

AT_ONCE = 16  # inputs between two looks at whether anybody still waits
ENTRY = 11 + 14  # bytes of an index and a weight in JSON, at most


class SparseRequest(NamedTuple):
    """What is asked for; the fields mean what those of `EncodeRequest` do.

    Attributes:
        input_type: the side of BM25 that the texts are on.
    """

    inputs: GivenInputs
    input_type: InputType
    model: str | None = None
    version: str | None = None
    space: str | None = None
    truncate: Truncate = "none"
    prompt: str | None = None


class SparseResult(NamedTuple):
    """Sparse vectors, and what is to be said of them."""

    loaded: engine.Loaded
    rows: Sequence[SparseVector]
    facts: Sequence[Facts]
    timings: engine.Timings

    @property
    def tokens(self) -> int:
        """The number of tokens read, over all inputs."""
        return sum(fact.tokens for fact in self.facts)

    @property
    def space(self) -> str:
        """The space of the vectors."""
        return space_of(self.loaded)

    @property
    def dim(self) -> int:
        """How many different terms there are."""
        return dim_of(self.loaded)

    def headers(self) -> dict[str, str]:
        """What every protocol's answer says."""
        return headers_of(self.loaded, self.space, self.timings)


class SparseTarget(NamedTuple):
    """What a request comes down to once its model is found."""

    loaded: engine.Loaded
    input_type: InputType
    truncate: Truncate

    async def encode(
        self,
        context: Context,
        inputs: Sequence[Input],
        *,
        timeout_s: float,
        priority: engine.Priority = "interactive",
    ) -> SparseResult:
        """The vectors. The priority changes nothing: nobody's forward pass waits for them.

        Raises EngineError, InputError, RateLimited.
        """
        began_s = time.perf_counter()
        with charged(len(inputs)) as spend:
            found = await weighed(
                context, self.loaded, inputs, self.input_type, truncate=self.truncate, timeout_s=timeout_s
            )
        facts = [one for _, one in found]
        spend(facts)
        context.metrics.read(self.loaded, facts)
        timings = engine.Timings(time.perf_counter() - began_s, 0.0, 0.0)
        return SparseResult(self.loaded, [row for row, _ in found], facts, timings)

    def names(self) -> dict[str, str]:
        """The headers that are known before anything is encoded."""
        return names_of(self.loaded, space_of(self.loaded))


async def encode(context: Context, request: Request, asked: SparseRequest) -> SparseResult:
    """The vectors. Work for a client that leaves is dropped.

    Raises:
        EngineError, InputError, InvalidRequest: as `app.http.errors` tells them.
        ClientDisconnect: the client left.
    """
    target, given, settings = resolve(context, asked), asked.inputs, context.settings
    check_count(len(given), settings)
    inputs = await off_loop(given.work, lambda: read_inputs(given, target.loaded, settings, target.truncate))
    timeout_s = terms_of(request, settings).timeout_s
    result = await unless_left(request, target.encode(context, inputs, timeout_s=timeout_s))
    check_answer(ENTRY * sum(map(len, result.rows)), settings)
    return result


def resolve(context: Context, asked: SparseRequest) -> SparseTarget:
    """The encoder whose statistics count. Raises EngineError, InvalidRequest."""
    loaded = context.registry.find(
        asked.model or context.default_model, version=asked.version, space=asked.space, is_sparse=True
    )
    check_lexical(loaded)
    if prompt_of(loaded, asked.prompt) and asked.prompt:
        raise InvalidRequest(
            "a prompt is for dense vectors, and its words are none of the text's; leave it out",
            code="unsupported",
            param="prompt",
        )
    return SparseTarget(loaded, asked.input_type, asked.truncate)


def check_lexical(loaded: engine.Loaded) -> None:
    """Raise InvalidRequest for an encoder that cannot weigh words, with what would change that."""
    encoder, manifest = loaded.encoder, loaded.manifest
    if not isinstance(encoder.preprocessor, HasTerms):
        raise InvalidRequest(
            f"{manifest.name} takes {encoder.kind.plural}, which have no words to count; "
            "words are weighed of texts",
            code="no_words",
            param="model",
        )
    if encoder.lexical is None:
        raise InvalidRequest(
            f"{manifest.name}/{manifest.version} has no statistics of words (lexical.json); publish it again "
            "with them: encodery lexical CONFIG.toml, or train it anew",
            code="no_lexical_statistics",
            param="model",
        )


def space_of(loaded: engine.Loaded) -> str:
    """The space of the sparse vectors of an encoder that passed `check_lexical`."""
    space = loaded.encoder.sparse_space
    assert space is not None
    return space


def dim_of(loaded: engine.Loaded) -> int:
    """Length of the sparse vectors of an encoder that passed `check_lexical`."""
    lexical = loaded.encoder.lexical
    assert lexical is not None
    return lexical.dim


async def weighed(
    context: Context,
    loaded: engine.Loaded,
    inputs: Sequence[Input],
    input_type: InputType,
    *,
    truncate: Truncate,
    timeout_s: float,
) -> list[tuple[SparseVector, Facts]]:
    """The vector of each input, and what is to be told of it. Raises InputError, EngineError."""

    def pieces() -> Iterator[list[tuple[SparseVector, Facts]]]:
        for start, part in enumerate(sliced(inputs, AT_ONCE)):
            try:
                distinct = engine.Distinct.of(part)
                prepared = distinct.prepared(loaded.encoder, truncate)
            except InputError as error:
                raise error.at(start * AT_ONCE + error.index) from None
            rows = loaded.encoder.sparse(prepared, input_type)
            yield [(rows[row], prepared[row].facts) for row in distinct.rows]

    found = await context.side_work.collect(pieces(), sum(one.size for one in inputs), timeout_s)
    return list(chain.from_iterable(found))
