"""What the routes share: the parts that `create_app` built, found through the request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Annotated, cast

from fastapi import Depends, Request

from app.access import ANYBODY, CALLER, Gate
from app.engine import Engine, Registry, UnknownModel
from app.generations import AnyChange, Outcome
from app.http.cors import Cors
from app.http.descriptors import Descriptors
from app.http.proxies import Proxies
from app.http.room import Room
from app.metrics import Metrics
from app.settings import Settings
from app.shadow import Shadows
from app.shared.unmet import Unmet
from app.side_work import SideWork
from app.tracing import Traces

SPLIT_KEY: ContextVar[str] = ContextVar("split_key", default="")
"""Of the request that this task answers: by it one of two versions that share an alias is chosen."""


@dataclass
class Context:
    """The parts of one app.

    Attributes:
        models_now: all that there are, whoever asks, in the generation of the moment.
        ask: asks for changes of the models; None where they are fixed.
        gate: who may ask; None for everybody.
        cors: which pages may read the answers; None for those of this server only.
        descriptors: room for new connections.
        proxies: those that are trusted.
        side_work: what is done for requests beside the engine.
        traces: of requests, where OpenTelemetry is asked for.
        unmet_at_start: what was asked for before the start and could not be had.
        shadows: versions that encode what others were asked for, in idle moments.
        explaining: held by the explanation whose turn it is to encode a few inputs.
        room: for the bodies of requests.
        started_s: monotonic time of the start.
        in_work: requests that passed the checks and have no answer yet.
        is_draining: SIGTERM came; what was accepted is finished.
    """

    settings: Settings
    models_now: Callable[[], Registry]
    engine: Engine
    metrics: Metrics
    started_s: float = field(default=0.0)
    is_draining: bool = False
    in_work: int = 0
    ask: Callable[[AnyChange], Awaitable[Outcome]] | None = None
    gate: Gate | None = None
    cors: Cors | None = None
    descriptors: Descriptors = field(default_factory=Descriptors)
    proxies: Proxies = field(default_factory=Proxies)
    side_work: SideWork = field(default_factory=SideWork)
    traces: Traces | None = None
    unmet_at_start: Sequence[Unmet] = ()
    explaining: asyncio.Lock = field(default_factory=asyncio.Lock)
    shadows: Shadows = field(init=False)
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room(self.settings.max_bodies_bytes)
        self.shadows = Shadows(self.engine, lambda loaded: self.models_now().shadow_of(loaded), self.metrics)

    @property
    def models(self) -> Registry:
        """All that there are now; what is taken from one registry goes together."""
        return self.models_now()

    @property
    def unmet(self) -> list[Unmet]:
        """What was asked for and cannot be had now."""
        sending = self.traces.unmet if self.traces else None
        return [*self.unmet_at_start, *([sending] if sending else [])]

    @property
    def registry(self) -> Registry:
        """The models that the caller may ask for; others are not there for him."""
        key, found = CALLER.get().key, self.models_now()
        split_key = SPLIT_KEY.get() if found.has_splits else ""
        if key.models == ANYBODY.models:
            return replace(found, split_key=split_key) if split_key else found
        models = {name: model for name, model in found.models.items() if key.may_ask(name)}
        return Registry(models, found.aliases, split_key)

    @property
    def default_model(self) -> str:
        """The model of a request that names none. Raises UnknownModel where there is none for the caller."""
        registry, name = self.registry, self.settings.default_model
        if registry.resolve(name)[0] not in registry.models:
            raise UnknownModel(
                "the request names no model, and the default one (ENCODERY_DEFAULT_MODEL) is not there; "
                f"name one of: {', '.join(registry.models)}"
            )
        return name


async def context_of(request: Request) -> Context:  # FastAPI would run a plain function on a thread
    return cast(Context, request.app.state.context)


Ctx = Annotated[Context, Depends(context_of)]
