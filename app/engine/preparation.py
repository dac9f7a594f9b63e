"""Prepares the inputs of a request, equal ones once; and says whether that is little work.

Small requests are prepared where they are: handing 50 us of tokenising to a thread and back costs as much
again. What is larger goes to a thread, so that the event loop never waits for it, and in slices, so that it
ends when its caller leaves or its time is up: `app.engine.engine`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from app.engine.encoded import Encoded
from app.engine.errors import EncoderFailed
from bundle import Encoder, Input, InputError, Prepared, Truncate

SMALL = 1000  # characters prepared on the event loop: 0.2 ms as a rule, 6 ms for the worst scripts
SLICE = 100_000  # characters prepared in one call, which nothing ends: 20 ms as a rule


def are_small(inputs: Sequence[Input]) -> bool:
    """Tell whether they are prepared in so little time that no thread is worth it."""
    left = SMALL
    for one in inputs:
        left -= one.size
        if left < 0:  # the rest need not be looked at
            return False
    return True


class Distinct(NamedTuple):
    """The inputs of a request, equal ones once.

    Attributes:
        inputs: each for the first time.
        indices: where each of these stands in the request.
        rows: for each input of the request, which of these it is.
    """

    inputs: Sequence[Input]
    indices: Sequence[int]
    rows: Sequence[int]

    @classmethod
    def of(cls, inputs: Sequence[Input]) -> Distinct:
        if len(inputs) == 1:
            return cls(inputs, (0,), (0,))
        row_of: dict[Hashable, int] = {}
        indices: list[int] = []
        rows: list[int] = []
        for index, one in enumerate(inputs):
            row = row_of.setdefault(one.key, len(indices))
            if row == len(indices):
                indices.append(index)
            rows.append(row)
        return cls([inputs[index] for index in indices], indices, rows)

    def only(self, which: Sequence[int]) -> Distinct:
        """Some of them, as if the request had no others."""
        rows = range(len(which))
        return Distinct([self.inputs[one] for one in which], [self.indices[one] for one in which], rows)

    def slices(self) -> list[Distinct]:
        """Some after others, each of SLICE characters at most, or of one input."""
        found, start, size = list[Distinct](), 0, 0
        for end, one in enumerate(self.inputs):
            if end > start and size + one.size > SLICE:
                found.append(self.only(range(start, end)))
                start, size = end, 0
            size += one.size
        return [*found, self.only(range(start, len(self.inputs)))]

    def prepared(self, encoder: Encoder, truncate: Truncate) -> list[Prepared]:
        """Prepare each of them.

        Raises:
            InputError: with the input's index in the request.
            EncoderFailed: native code panicked.
        """
        try:
            return encoder.prepare(self.inputs, truncate)
        except InputError as error:
            raise InputError(self.indices[error.index], error.code, error.reason, error.path) from error
        except Exception:
            raise
        except BaseException as panic:  # pyo3's PanicException is no Exception, and would end the connection
            raise EncoderFailed from panic

    def spread(self, done: Encoded) -> Encoded:
        """One row per distinct input -> one per input of the request."""
        if len(self.indices) == len(self.rows):
            return done
        rows = list(self.rows)
        return done._replace(vectors=done.vectors[rows], facts=[done.facts[row] for row in rows])
