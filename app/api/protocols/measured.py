"""TEI's headers about the work of an answer, on its own routes and on OpenAI's, which it has as well.

Times are whole milliseconds: its clients read them as integers. `Server-Timing` has them in full.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sized

from app.api.service import EncodeResult
from app.api.sparse import SparseResult


def measured(
    answer: EncodeResult | SparseResult, values: Iterable[Sized], started_s: float
) -> dict[str, str]:
    """The headers of an answer, with those of every protocol. A token id counts as a character, as there."""
    timings = answer.timings
    seconds = {
        "x-compute-time": timings.run_s,
        "x-total-time": time.perf_counter() - started_s,
        "x-tokenization-time": timings.prepare_s,
        "x-queue-time": timings.queue_s,
        "x-inference-time": timings.run_s,
    }
    return {
        **answer.headers(),
        **{name: str(int(value * 1e3)) for name, value in seconds.items()},
        "x-compute-type": "cpu",
        "x-compute-characters": str(sum(map(len, values))),
        "x-compute-tokens": str(answer.tokens),
    }
