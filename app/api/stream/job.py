"""Encodes a chunk of lines; around a line that cannot be encoded, the rest is.

A queue that is full is waited for, as others go first: the sender is held back meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import orjson

from app.access import CALLER, RateLimited
from app.api.inputs import JsonInputs, read_inputs, variable
from app.api.service import EncodeResult, Target
from app.api.stream.lines import Line, line_limits
from app.engine import Draining, EngineError, Overloaded
from app.http import errors
from app.http.authentication import check_key_again
from app.http.context import Context
from app.http.errors import MalformedRequest, RequestError
from bundle import EncoderyError, Input, InputError

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
    vector: npt.NDArray[Any] | None
    note: Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """What every chunk of a stream has in common.

    Attributes:
        target: model and form of the vectors.
        now_s: unix time that times are relative to.
    """

    context: Context
    target: Target
    now_s: float

    async def done(self, lines: Sequence[Line]) -> list[LineOutcome]:
        """What became of the lines, in order. Raises Draining; Unauthorized when the key is gone."""
        check_key_again(self.context)
        found: dict[int, LineOutcome] = {}
        inputs: list[tuple[int, Input]] = []
        for line in lines:
            try:
                target, settings = self.target, self.context.settings
                [one] = read_inputs(self._given(line), target.loaded, settings, target.truncate)
                inputs.append((line.index, one))
            except EncoderyError as error:
                found[line.index] = failed(line.index, error)
        await self._encode(inputs, found)
        return [found[line.index] for line in lines]

    async def _encode(self, inputs: Sequence[tuple[int, Input]], found: dict[int, LineOutcome]) -> None:
        while inputs:
            try:
                answer = await self._answer([one for _, one in inputs])
            except (InputError, RequestError, EngineError) as error:
                if isinstance(error, Draining):
                    raise
                at = _culprit(error)
                if at is None and len(inputs) > 1:  # it does not say whose fault it is: look in halves
                    middle = len(inputs) // 2
                    await self._encode(inputs[:middle], found)
                    inputs = inputs[middle:]
                    continue
                index = inputs[at or 0][0]
                found[index] = failed(index, error)
                inputs = [*inputs[: at or 0], *inputs[(at or 0) + 1 :]]
            else:
                for (index, _), row, fact in zip(inputs, answer.quantized, answer.facts, strict=True):
                    found[index] = LineOutcome(index, row, fact.warnings)
                return

    async def _answer(self, inputs: Sequence[Input]) -> EncodeResult:
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
        try:
            return JsonInputs([orjson.loads(line.content)], self.now_s)
        except orjson.JSONDecodeError as error:
            raise MalformedRequest(
                f"no JSON in UTF-8: {error.msg}, at character {error.pos}", code="invalid_json"
            ) from None


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
