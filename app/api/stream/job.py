"""Encodes a chunk of lines; around a line that cannot be encoded, the rest is.

A queue that is full is waited for, as others go first: the sender is held back meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy.typing as npt
import orjson

from app.access import CALLER, RateLimited
from app.api.inputs import JsonInputs, read_inputs, variable
from app.api.json_values import check_values
from app.api.large import INPUT, off_loop
from app.api.service import EncodeResult, Target
from app.api.sparse import SparseResult, SparseTarget
from app.api.stream.lines import Line, line_limits
from app.engine import Draining, EngineError, Overloaded
from app.http import errors
from app.http.authentication import check_key_again
from app.http.context import Context
from app.http.errors import MalformedRequest, RequestError
from bundle import EncoderyError, Input, InputError, SparseVector

_Numbered: TypeAlias = tuple[int, Input]  # with its line
Row: TypeAlias = npt.NDArray[Any] | SparseVector
CHUNK_S = 600.0  # how long a chunk may wait for its turn; other callers go first


@dataclass(frozen=True)
class LineOutcome:
    """What became of one line.

    Attributes:
        index: of the line; None if it is about the whole stream.
        vector: of the type that was asked for; None if there is none.
        note: what there is to tell about the input, or `error`.
    """

    index: int | None
    vector: Row | None
    note: Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """What every chunk of a stream has in common.

    Attributes:
        target: model and form of the vectors.
        now_s: unix time that times are relative to.
    """

    context: Context
    target: Target | SparseTarget
    now_s: float

    async def done(self, lines: Sequence[Line]) -> list[LineOutcome]:
        """What became of the lines, in order. Raises Draining; Unauthorized when the key is gone."""
        check_key_again(self.context)
        size = sum(INPUT + len(line.content or b"") for line in lines)
        inputs, found = await off_loop(size, lambda: self._read(lines))
        await self._encode(inputs, found)
        return [found[line.index] for line in lines]

    def _read(self, lines: Sequence[Line]) -> tuple[list[_Numbered], dict[int, LineOutcome]]:
        """The inputs of the lines, by line; and what became of those that hold none."""
        inputs, found = list[_Numbered](), dict[int, LineOutcome]()
        for line in lines:
            try:
                target, settings = self.target, self.context.settings
                [one] = read_inputs(self._given(line), target.loaded, settings, target.truncate)
                inputs.append((line.index, one))
            except EncoderyError as error:
                found[line.index] = failed(line.index, error)
        return inputs, found

    async def _encode(self, inputs: Sequence[_Numbered], found: dict[int, LineOutcome]) -> None:
        if not inputs:
            return
        try:
            answer = await self._answer([one for _, one in inputs])
        except (InputError, RequestError, EngineError) as error:
            if isinstance(error, Draining):
                raise
            at = _culprit(error) if len(inputs) > 1 else 0
            if at is not None:
                found[inputs[at][0]] = failed(inputs[at][0], error)
            for part in _others(inputs, at):
                await self._encode(part, found)
            return
        rows = answer.rows if isinstance(answer, SparseResult) else answer.quantized
        for (index, _), row, fact in zip(inputs, rows, answer.facts, strict=True):
            found[index] = LineOutcome(index, row, fact.warnings)

    async def _answer(self, inputs: Sequence[Input]) -> EncodeResult | SparseResult:
        rates = CALLER.get().rates
        while True:
            try:
                if rates is not None:
                    rates.check_tokens()  # a stream may be longer than any request that is let in on credit
                return await self.target.encode(self.context, inputs, timeout_s=CHUNK_S, priority="bulk")
            except (Overloaded, RateLimited) as overloaded:  # the sender is held back: what 429 is for
                await asyncio.sleep(overloaded.retry_after_s or 1)

    def _given(self, line: Line) -> JsonInputs:
        if line.content is None:
            limits = line_limits(self.target.loaded)
            variables = ", ".join([*(variable(one.per_input) for one in limits), "ENCODERY_MAX_BODY_BYTES"])
            raise InputError(0, "too_large", f"longer than any input may be ({variables})")
        check_values(line.content)
        try:
            return JsonInputs([orjson.loads(line.content)], self.now_s)
        except orjson.JSONDecodeError as error:
            raise MalformedRequest(
                f"no JSON in UTF-8: {error.msg}, at character {error.pos}", code="invalid_json"
            ) from None


def _others(inputs: Sequence[_Numbered], at: int | None) -> Iterator[Sequence[_Numbered]]:
    """All inputs but one, in parts to be tried again.

    What stands before it is often good. The rest goes in halves: where all are bad, an input is prepared
    log2(n) times, not n.
    """
    before, rest = ([], inputs) if at is None else (inputs[:at], inputs[at + 1 :])
    middle = (len(rest) + 1) // 2
    yield from (before, rest[:middle], rest[middle:])


def failed(index: int | None, error: EncoderyError) -> LineOutcome:
    """A line's error. Its place is the line, so a position within our chunk is left out."""
    detail = errors.shortened(errors.failure(error).detail).model_dump()
    if isinstance(error, InputError):
        detail |= {"message": error.reason, "param": error.path.lstrip(".") or None}
    elif _culprit(error) is not None:
        detail |= {"message": detail["message"].partition(": ")[2], "param": None}
    return LineOutcome(index, None, {"error": detail})


def _culprit(error: EncoderyError) -> int | None:
    """Whose fault it is, by position, where the error says so."""
    if isinstance(error, InputError):
        return error.index
    param = getattr(error, "param", None) or ""
    return int(param[7:-1]) if param.startswith("inputs[") and param[7:-1].isdecimal() else None
