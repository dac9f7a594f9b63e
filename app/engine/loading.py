"""Loads what is proven, a version at a time, while the server serves what it has so far.

    plan, verdicts -> Loader, on a thread -> a new Registry each time -> whoever is told, on the event loop

Proving is done before, by another process (`app.proving`). A version of an earlier registry is taken over
as it is, so that a reload takes no memory for what stays.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from app.engine.pace import Pace
from app.engine.registry import Loaded, Model, Registry
from app.engine.tuning import BatchProfile, profile_encoder
from app.proving import Plan, Planned, PlannedModel, Refused, Verdict, Verdicts, VerdictsInMemory, plan_of
from bundle import BundleError, Encoder, Execution, InputError, Prepared, Store
from bundle.directory import CARD
from bundle.lineage import origin_of
from bundle.store import build

ONE_THREAD = Execution()
EXAMPLES = 3  # shown per model; golden inputs are many and alike
POLL_S = 0.02

_PROFILE = TypeAdapter(BatchProfile)


class Loader:
    """Brings a plan into registries.

    Args:
        store: has the versions.
        plan: which ones.
        verdicts: on them, as they come.
        execution: how encoders are to be run; where their weights are is in the verdicts.
        first: names of models to load before the others.
        before: what is loaded already; then the plan is of a generation in which all was proven, and has
            no version that was refused. Each look at a verdict waits for requests, which hold Python's lock.

    Attributes:
        registry: with all that is loaded so far.
        lost: what was proven and cannot be loaded, as when the disk changed it since.
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        verdicts: Verdicts,
        execution: Execution = ONE_THREAD,
        *,
        first: Collection[str] = (),
        before: Registry | None = None,
    ) -> None:
        self._store, self._plan, self._verdicts, self._execution = store, plan, verdicts, execution
        self._before = {one.manifest.digest: one for one in before.loaded} if before else {}
        self._waiting = plan.versions(first)
        self._loaded: dict[Planned, Loaded] = {}
        self._refused: dict[Planned, Refused] = {}
        self._unmeasured: list[Planned] = []
        self.lost: list[Planned] = []
        self._is_closed = threading.Event()
        self.registry = self._state()

    @property
    def has_loaded(self) -> bool:
        """Nothing is loading any more."""
        return not self._waiting

    @property
    def has_verdicts(self) -> bool:
        """All is proven, so that loading waits for nobody."""
        return all(self._verdicts.get(one.digest) for one in self._waiting)

    def load(self, changed: Callable[[Registry], None] = lambda registry: None) -> None:
        """Load or refuse every version, telling each time, until there is none left or this is closed."""
        while self._waiting and not self._is_closed.is_set():
            ready = next((one for one in self._waiting if self._is_ready(one)), None)
            if ready is None:
                self._is_closed.wait(POLL_S)
                continue
            self._settle(ready)
            self._waiting.remove(ready)
            self.registry = self._state()
            changed(self.registry)

        self._before = {}  # what is not taken over is to be dropped

    def _is_ready(self, one: Planned) -> bool:
        """It is loaded already, which in a settled plan means that it may stay, or it is proven."""
        return one.digest in self._before or self._verdicts.get(one.digest) is not None

    def measured(self) -> list[tuple[Loaded, BatchProfile]]:
        """Encoders whose pace was measured since they were loaded, each once."""
        found = [one for one in self._unmeasured if self._verdict(one).pace is not None]
        self._unmeasured = [one for one in self._unmeasured if one not in found]
        paces = [(self._loaded[one], self._verdict(one).pace) for one in found]
        return [(loaded, _PROFILE.validate_python(pace)) for loaded, pace in paces if pace]

    def reason(self, one: Planned) -> str:
        """Why a version was refused."""
        return self._refused[one].reason

    def close(self) -> None:
        """Let the other methods return."""
        self._is_closed.set()

    def _verdict(self, one: Planned) -> Verdict:
        verdict = self._verdicts.get(one.digest)
        assert verdict is not None
        return verdict

    def _settle(self, one: Planned) -> None:
        if one.digest in self._before:
            self._loaded[one] = self._before[one.digest]
            if not self._loaded[one].pace.is_seeded:
                self._unmeasured.append(one)
            return
        verdict = self._verdict(one)
        if verdict.reason is None and verdict.pace is None:
            self._unmeasured.append(one)
        if verdict.reason is not None:
            self._refused[one] = Refused(one.name, one.version, verdict.reason)
        else:
            try:
                self._loaded[one] = self._load(one, verdict)
            except BundleError as error:
                self._lose(one, str(error))
            except BaseException as error:  # pyo3's PanicException is no Exception
                self._lose(one, f"cannot be loaded: {type(error).__name__}")

    def _lose(self, one: Planned, reason: str) -> None:
        self._unmeasured = [other for other in self._unmeasured if other != one]
        self._refused[one] = Refused(one.name, one.version, reason)
        self.lost.append(one)

    def _load(self, one: Planned, verdict: Verdict) -> Loaded:
        started_s = time.monotonic()
        weights = verdict.weights if verdict.weights and verdict.weights.is_dir() else None
        contents = self._store.read(one.name, one.version, one.digest)
        encoder = build(contents, replace(self._execution, weights=weights), is_proven=True)
        pace = Pace(_PROFILE.validate_python(verdict.pace) if verdict.pace else None)
        seconds = time.monotonic() - started_s
        return Loaded(encoder, seconds, examples_of(encoder)[0], pace, origin_of(contents.files[CARD]))

    def _state(self) -> Registry:
        return Registry({model.name: self._model(model) for model in self._plan.models})

    def _model(self, model: PlannedModel) -> Model:
        return Model(
            model.name,
            model.current,
            {one.version: self._loaded[one] for one in model.versions if one in self._loaded},
            [*model.refused, *(self._refused[one] for one in model.versions if one in self._refused)],
            [one.version for one in model.versions if one in self._waiting],
            model.aliases,
            model.leader,
            model.is_unloaded,
        )


def load_registry(store: Store, *, versions_per_model: int, execution: Execution = ONE_THREAD) -> Registry:
    """Prove, load and measure in this process, for programs that trust their bundles."""
    plan, verdicts = plan_of(store, versions_per_model), VerdictsInMemory()
    for one in plan.versions():
        verdicts.put(one.digest, _verdict_here(store, one, execution))
    loader = Loader(store, plan, verdicts, execution)
    loader.load()
    return loader.registry


def _verdict_here(store: Store, one: Planned, execution: Execution) -> Verdict:
    try:
        encoder = build(store.read(one.name, one.version, one.digest), execution)
        return Verdict(weights=execution.weights, pace=measure(encoder))
    except BundleError as error:
        return Verdict(str(error))
    except Exception as error:  # a bug in a loader must not keep the other models from serving
        return Verdict(f"cannot be loaded: {type(error).__name__}")


def measure(encoder: Encoder) -> dict[str, Any]:
    """The pace of an encoder on this machine, for a verdict."""
    _, prepared = examples_of(encoder)
    found: dict[str, Any] = _PROFILE.dump_python(profile_encoder(encoder, prepared), mode="json")
    return found


def examples_of(encoder: Encoder) -> tuple[list[Any], Sequence[Prepared]]:
    """Golden inputs that a caller can send as they are, that is, without asking for truncation."""
    found: list[Any] = []
    prepared: list[Prepared] = []
    for value in encoder.examples[:EXAMPLES]:
        try:
            prepared += encoder.prepare([encoder.preprocessor.from_json(value, time.time())])
        except InputError:
            continue
        found.append(value)
    return found, prepared
