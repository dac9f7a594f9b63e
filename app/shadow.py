"""A version in the shadow: it encodes what another was asked for, and only the report is told.

    answered request -> its inputs, where there is room -> an idle moment, bulk lane -> both vectors -> report

Its work is the first that is dropped: it is done a few inputs at a time, in moments in which the engine has
nothing else, and for a small share of the time; what does not fit into a short queue meanwhile is counted and
forgotten. Vectors are compared within each version, never across spaces: by who is near whom.

Belongs to one event loop. Inputs and vectors are kept in memory only, and no longer than the versions.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import structlog

from app.engine import Encoded, EncoderFailed, Engine, EngineError, Loaded, NumericalError
from bundle import Input, InputError, Truncate
from bundle.encoder import normalized
from bundle.neighbours import K, kept, nearest

KEPT = 1000  # inputs that are compared, the newest ones: 3 MB for two encoders of 384 dimensions
WAITING, WAITING_SIZE = 256, 1 << 20  # inputs that may wait for an idle moment, and their size together
FEW = 4  # inputs at a time
SHARE = 0.05  # of the time, at most
IDLE_S = 0.01  # between looks for an idle moment
PATIENCE_S = 30.0  # until what was begun is given up
FEWEST = 50  # inputs: among fewer anybody finds the ten
QUANTILES = {"p01": 0.01, "p05": 0.05, "p50": 0.5}

log = structlog.get_logger("encodery")

Floats = npt.NDArray[np.float32]
Outcome: TypeAlias = Literal["compared", "dropped", "failed"]


class _Waiting(NamedTuple):
    """An input that was answered."""

    input: Input
    truncate: Truncate


@dataclass
class Comparison:
    """What is known of one version in the shadow of another.

    Attributes:
        loaded: answers.
        candidate: is compared with it.
        since_s: unix time.
        compared: inputs that both have encoded.
        dropped: inputs that there was no idle moment for.
        failed: inputs that one of them could not encode.
        size: of the inputs that wait, together.
        due: how many are to be compared before the overlap is told again.
    """

    loaded: Loaded
    candidate: Loaded
    since_s: float = field(default_factory=time.time)
    compared: int = 0
    dropped: int = 0
    failed: int = 0
    due: int = FEWEST
    size: int = 0
    waiting: deque[_Waiting] = field(default_factory=deque)
    rows: dict[bytes, tuple[Floats, Floats]] = field(default_factory=dict)  # by input, the oldest first
    seconds: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def offer(self, inputs: Sequence[Input], truncate: Truncate) -> int:
        """Put inputs that were answered behind those that wait; how many there was no room for."""
        dropped = len(inputs)
        for one in inputs[: max(0, WAITING - len(self.waiting))]:
            if self.size + one.size <= WAITING_SIZE:
                self.waiting.append(_Waiting(one, truncate))
                self.size += one.size
                dropped -= 1
        self.dropped += dropped
        return dropped

    def take(self) -> tuple[list[Input], Truncate]:
        """The next few that were not compared yet, all to be truncated alike."""
        found: dict[bytes, Input] = {}
        truncate: Truncate = self.waiting[0].truncate
        while self.waiting and len(found) < FEW and self.waiting[0].truncate == truncate:
            one = self.waiting.popleft().input
            self.size -= one.size
            if (key := self.key(one)) not in self.rows:
                found[key] = one
        return list(found.values()), truncate

    def key(self, one: Input) -> bytes:
        """Equal for equal inputs, and short however long they are."""
        content = repr(self.loaded.encoder.key(one)).encode("utf-8", "backslashreplace")
        return hashlib.blake2b(content, digest_size=16).digest()

    def put(self, inputs: Sequence[Input], own: Encoded, other: Encoded) -> None:
        """Keep what both have made of inputs, and the time they took for each."""
        for one, *vectors in zip(inputs, own.vectors, other.vectors, strict=True):
            ours, theirs = (vector.copy() for vector in vectors)  # or whole batches would be kept
            self.rows[self.key(one)] = (ours, theirs)
        self.seconds.append((own.timings.run_s / len(inputs), other.timings.run_s / len(inputs)))
        self.compared += len(inputs)
        while len(self.rows) > KEPT:
            del self.rows[next(iter(self.rows))]

    def report(self) -> dict[str, Any]:
        """What `GET /models/{name}/shadow` answers; some 50 ms of work for 1,000 inputs."""
        own, other = self.loaded.manifest, self.candidate.manifest
        found: dict[str, Any] = {
            "model": own.name,
            "version": own.version,
            "shadow": other.version,
            "same_space": own.space == other.space,
            "since": self.since_s,
            "compared": self.compared,
            "dropped": self.dropped,
            "failed": self.failed,
            "waiting": len(self.waiting),
            "among": len(self.rows),
            "overlap_at_10": None,
            "cosine": None,
            "run_ms": None,
        }
        if len(self.rows) < FEWEST:
            return found
        found["overlap_at_10"] = round(self.overlap(), 4)
        if own.space == other.space:
            ours, theirs = self._vectors()
            found["cosine"] = _quantiles((normalized(ours) * normalized(theirs)).sum(1))
        own_s, shadow_s = np.array(self.seconds).T
        found["run_ms"] = {
            "version": _quantiles(1e3 * own_s, {"p50": 0.5, "p95": 0.95}),
            "shadow": _quantiles(1e3 * shadow_s, {"p50": 0.5, "p95": 0.95}),
        }
        return found

    def copied(self) -> Comparison:
        """What is known by now, for a thread to look at."""
        return replace(self, rows=dict(self.rows), seconds=self.seconds.copy(), waiting=self.waiting.copy())

    def overlap(self) -> float:
        """How many of each input's ten nearest among the others are the same by both, on average."""
        ours, theirs = self._vectors()
        itself = np.arange(len(ours))
        by_own, by_other = (
            nearest(rows, rows, K, own=itself)
            for rows in (_comparable(self.loaded, ours), _comparable(self.candidate, theirs))
        )
        return float(kept(by_other, by_own).mean())

    def _vectors(self) -> tuple[Floats, Floats]:
        """[n, d] by the one and [n, d'] by the other."""
        ours, theirs = (np.stack(side) for side in zip(*self.rows.values(), strict=True))
        return ours, theirs


class Observer(Protocol):
    """Somebody who is told what became of inputs, and how alike both versions are."""

    def shadowed(self, loaded: Loaded, candidate: Loaded, outcome: Outcome, inputs: int) -> None:
        """So many more inputs were compared, dropped, or could not be encoded."""
        ...

    def overlap(self, loaded: Loaded, candidate: Loaded, value: float) -> None:
        """How many of an input's ten nearest are the same by both, on average."""
        ...


class Shadows:
    """Every version that stands in the shadow of one that answers.

    Args:
        engine: that both run in.
        candidate_of: the version in the shadow of one that was asked for; None for most.
        observer: is told what happens.
    """

    def __init__(
        self, engine: Engine, candidate_of: Callable[[Loaded], Loaded | None], observer: Observer
    ) -> None:
        self._engine, self._candidate_of, self._observer = engine, candidate_of, observer
        self.comparisons: dict[Loaded, Comparison] = {}

    def offer(self, loaded: Loaded, inputs: Sequence[Input], truncate: Truncate) -> None:
        """Say what was answered; costs next to nothing, with a shadow or without."""
        if (candidate := self._candidate_of(loaded)) is None or not inputs:
            return
        known = self.comparisons[loaded] = self.comparison(loaded, candidate)
        if dropped := known.offer(inputs, truncate):
            self._observer.shadowed(loaded, candidate, "dropped", dropped)

    def comparison(self, loaded: Loaded, candidate: Loaded) -> Comparison:
        """What is known of both; nothing yet where nothing was asked for."""
        known = self.comparisons.get(loaded)
        return known if known is not None and known.candidate is candidate else Comparison(loaded, candidate)

    async def run(self) -> None:
        """Encode for ever what waits, in idle moments."""
        while True:
            await asyncio.sleep(IDLE_S)
            for loaded, one in list(self.comparisons.items()):
                if self._candidate_of(loaded) is not one.candidate:  # it is in nobody's shadow any more
                    self.comparisons.pop(loaded)
                elif one.waiting and not self._engine.items:
                    began_s = time.monotonic()
                    try:
                        await self._encode(one)
                    except Exception as error:  # this task has nobody to tell, and others' shadows go on
                        log.error("bug", error=type(error).__name__, exc_info=True)
                    await asyncio.sleep((time.monotonic() - began_s) * (1 / SHARE - 1))

    async def _encode(self, one: Comparison) -> None:
        """The next few inputs, by both in turn; what happens to them happens to nobody else."""
        inputs, truncate = one.take()
        if not inputs:
            return
        try:
            own, other = [
                await self._engine.encode(
                    loaded, inputs, truncate=truncate, timeout_s=PATIENCE_S, priority="bulk", use_cache=False
                )
                for loaded in (one.loaded, one.candidate)
            ]
        except (InputError, NumericalError, EncoderFailed):
            one.failed += len(inputs)
            outcome: Outcome = "failed"
        except EngineError:
            one.dropped += len(inputs)
            outcome = "dropped"
        else:
            one.put(inputs, own, other)
            outcome = "compared"
        self._observer.shadowed(one.loaded, one.candidate, outcome, len(inputs))
        if outcome == "compared" and one.compared >= one.due:
            one.due = one.compared + FEWEST
            found = await asyncio.to_thread(one.copied().overlap)
            self._observer.overlap(one.loaded, one.candidate, found)


def _comparable(loaded: Loaded, vectors: Floats) -> Floats:
    """Vectors whose inner products are what the encoder's vectors are compared by."""
    return normalized(vectors) if loaded.manifest.metric == "cosine" else vectors


def _quantiles(values: npt.NDArray[Any], which: Mapping[str, float] = QUANTILES) -> dict[str, float]:
    return {name: round(float(np.quantile(values, share)), 4) for name, share in which.items()}
