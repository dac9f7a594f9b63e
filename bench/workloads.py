"""The workloads that are measured: a row of the table each, with the bar that it must reach."""

from __future__ import annotations

from dataclasses import dataclass

TRANSFORMER = "minilm"  # all-MiniLM-L6-v2, imported


@dataclass(frozen=True)
class Workload:
    """One kind of load.

    Attributes:
        per_request: inputs of a request.
        callers: of the closed loop.
        ceiling: what it is compared with: `forward` or `tokenising` (a rate), `lone` (a latency), or none.
        share: of the ceiling that is to be reached.
        per_cpu_s: texts per CPU-second of the server that are to be reached.
        competitors: names of those that can do the same.
    """

    name: str
    model: str
    per_request: int
    callers: int
    ceiling: str | None = None
    share: float | None = None
    per_cpu_s: float | None = None
    competitors: tuple[str, ...] = ()


_TRANSFORMERS = ("fastembed", "sentence_transformers", "infinity")
WORKLOADS = (
    Workload(
        "all-MiniLM-L6-v2, 1 text, 32 callers", TRANSFORMER, 1, 32, "forward", 0.90, competitors=_TRANSFORMERS
    ),
    Workload(
        "all-MiniLM-L6-v2, 1 text, 8 callers", TRANSFORMER, 1, 8, "forward", 0.80, competitors=_TRANSFORMERS
    ),
    Workload(
        "all-MiniLM-L6-v2, 32 texts, 4 callers",
        TRANSFORMER,
        32,
        4,
        "forward",
        0.95,
        competitors=_TRANSFORMERS,
    ),
    Workload("all-MiniLM-L6-v2, 1 text, 1 caller", TRANSFORMER, 1, 1, "lone", competitors=_TRANSFORMERS),
    Workload("text, 1 text, 32 callers", "text", 1, 32, per_cpu_s=4000, competitors=("model2vec",)),
    Workload("text, 32 texts, 4 callers", "text", 32, 4, "tokenising", 0.80, competitors=("model2vec",)),
    Workload("retail-user, 1 user, 32 callers", "retail-user", 1, 32, per_cpu_s=4000),
)
LONE_EXTRA_MS = 0.6  # a lone caller may wait this much longer than for the bare forward pass
