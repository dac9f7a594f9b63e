"""What is left of inputs, encoded for an explanation: in the bulk lane, a few rows at a time.

    pieces -> plan -> masks -> inputs -> engine, FEW at a time -> scores with the others -> plan -> values

Explanations take turns, look for an idle moment, and take a share of the time only: a caller with one text
meets few of their rows, however many there are.
Every row is counted and charged as one that was asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.api.large import off_loop
from app.api.service import EncodeResult, Target
from app.api.vectors import Vectors
from app.http.context import Context
from app.http.errors import InvalidRequest
from bundle import Input
from bundle.neighbours import similarities
from bundle.preprocess import Pieces, TakesApart
from bundle.shapley import METHODS, Contributions, Masks, Values

FEW = 4  # rows at a time
SHARE = 0.2  # of the time, at most, of all explanations of a process together
LOOKS, LOOK_S = 20, 0.001  # for an idle moment, before the bulk lane alone makes way for others


class Side(NamedTuple):
    """One input of a pair.

    Attributes:
        vector: of the whole, float32 [dim].
        place: in the request.
    """

    target: Target
    input: Input
    vector: Vectors
    place: str


class Explained(NamedTuple):
    """What the pieces of one input add to its scores with others."""

    pieces: Pieces
    contributions: Contributions


@dataclass
class Explainer:
    """Encodes for one request.

    Attributes:
        timeout_s: of the request.
        method: of `bundle.shapley.METHODS`.
        most_pieces: of an input.
        most_rows: for an input.
        rows: that were encoded.
    """

    context: Context
    timeout_s: float
    method: str
    most_pieces: int
    most_rows: int
    rows: int = 0

    async def whole(self, target: Target, inputs: Sequence[Input]) -> EncodeResult:
        """The inputs as they came. Raises InputError."""
        found = await target.encode(self.context, inputs, timeout_s=self.timeout_s, priority="bulk")
        self.rows += len(inputs)
        return found

    async def explained(self, side: Side, others: Vectors) -> Explained:
        """One input beside others that stay whole, [c, dim]. Raises InputError, InvalidRequest."""
        preprocessor, truncate = side.target.loaded.encoder.preprocessor, side.target.truncate
        if not isinstance(preprocessor, TakesApart):
            plural = side.target.loaded.encoder.kind.plural
            raise InvalidRequest(
                f"{side.place}: {plural} have no pieces that could be left out; explain a score of what they "
                "were made of",
                code="unsupported",
                param=side.place,
            )
        pieces = await off_loop(
            4 * side.input.size, lambda: preprocessor.pieces(side.input, self.most_pieces, truncate)
        )
        plan = METHODS[self.method](len(pieces), self.most_rows)
        masks = next(plan)
        while True:
            values = await self._values(side, pieces, others, masks)
            try:
                masks = plan.send(values)
            except StopIteration as end:
                return Explained(pieces, end.value)

    async def _values(self, side: Side, pieces: Pieces, others: Vectors, masks: Masks) -> Values:
        """Scores of what the masks keep with each of the others, [m, c]. Nothing has a vector of zeros."""
        vectors = np.zeros((len(masks), side.target.dim), np.float32)
        for start in range(0, len(masks), FEW):
            rows, inputs = list[int](), list[Input]()
            for row in range(start, min(start + FEW, len(masks))):
                if masks[row].all():
                    vectors[row] = side.vector
                elif (left := pieces.keep(masks[row])) is not None:
                    rows.append(row)
                    inputs.append(left)
            if rows:
                vectors[rows] = await self._few(side.target, inputs)
        return similarities(vectors, others, side.target.loaded.manifest.metric)

    async def _few(self, target: Target, inputs: Sequence[Input]) -> Vectors:
        """What is left of an input may have more tokens than all of it: then it is cut, and not refused."""
        if target.truncate == "none":
            target = target._replace(truncate="end")
        async with self.context.explaining:
            await self._idle_moment()
            began_s = time.monotonic()
            found = await target.encode(
                self.context, inputs, timeout_s=self.timeout_s, priority="bulk", are_own=False
            )
            await asyncio.sleep((time.monotonic() - began_s) * (1 / SHARE - 1))
        self.rows += len(inputs)
        return found.vectors

    async def _idle_moment(self) -> None:
        """Wait a little for the engine to have nothing else."""
        for _ in range(LOOKS):
            if not self.context.engine.items:
                return
            await asyncio.sleep(LOOK_S)
