"""What the engine answers: vectors, what is to be told of the inputs, and where the time went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bundle import Facts


class Timings(NamedTuple):
    """The parts of a request's time, in seconds.

    Attributes:
        prepare_s: checking and tokenising, with the wait for a thread.
        queue_s: from there to its first forward pass.
        run_s: from there to the end of its last one.
    """

    prepare_s: float
    queue_s: float
    run_s: float


class Encoded(NamedTuple):
    """The answer of the engine.

    Attributes:
        vectors: float32 [n, dim], in the order of the inputs, every one finite.
        facts: what the caller is told, one per input.
        cached: inputs that were not computed for this request; None without a cache.
    """

    vectors: npt.NDArray[np.float32]
    facts: Sequence[Facts]
    timings: Timings
    cached: int | None = None
