"""Is the server alive, is it ready, and how is it. Probes do no work and take no lock."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator

from fastapi import Response
from pydantic import BaseModel

from app.access import CALLER, NOBODY
from app.engine import Refused
from app.http.context import Context, Ctx
from app.http.routes import RouteGroup
from app.shared.unmet import Unmet
from app.shared.versions import running_version

PASSING = frozenset({"draining", "engine_stalled", "model_loading"})  # reasons that end by themselves

routes = RouteGroup()


class Probe(BaseModel):
    """The answer of a probe.

    Attributes:
        reasons: stable words for why not; empty when all is well.
    """

    ok: bool
    reasons: list[str]


class ModelHealth(BaseModel):
    """One model."""

    name: str
    current: str | None
    loaded: list[str]
    loading: list[str]


class QueueHealth(BaseModel):
    """The work that there is: in all server processes, and what waits in the one that answers."""

    items_in_work: int
    waiting_items: int
    waiting_cost: int


class Health(BaseModel):
    """The state of the server.

    Attributes:
        unmet: what was asked for by settings and cannot be had, though the server serves.
    """

    ready: bool
    live: bool
    reasons: list[str]
    encodery: str
    uptime_s: float
    models: list[ModelHealth]
    refused: list[Refused]
    unmet: list[Unmet]
    queue: QueueHealth


@routes.get(
    "/health/live", access="open", responses={503: {"model": Probe}}, summary="Restart me if this fails"
)
async def live(context: Ctx, response: Response) -> Probe:
    """200 as long as the event loop turns and forward passes end."""
    return _probe(context, response, not_live(context))


@routes.get(
    "/health/ready",
    access="open",
    responses={503: {"model": Probe}},
    summary="Send me requests if this succeeds",
)
async def ready(context: Ctx, response: Response) -> Probe:
    """200 when the current version of every model that readiness needs is loaded and proven."""
    return _probe(context, response, not_ready(context))


@routes.get("/health", access="optional", response_model=Health, summary="How the server is")
async def health(context: Ctx) -> Health | Response:
    """Details, for people: always 200. Who shows no key where there are keys gets 200 or 503 and no word."""
    if context.gate is not None and CALLER.get() is NOBODY:
        return Response(status_code=503 if [*not_live(context), *not_ready(context)] else 200)
    registry, engine = context.registry, context.engine
    reasons = _without_names([*not_live(context), *not_ready(context)], keeping=registry.models)
    waiting = [engine.queued(loaded) for loaded in registry.loaded]
    return Health(
        ready=not list(not_ready(context)),
        live=not list(not_live(context)),
        reasons=reasons,
        encodery=running_version(),
        uptime_s=round(time.monotonic() - context.started_s, 1),
        models=[
            ModelHealth(
                name=model.name,
                current=model.current,
                loaded=list(model.versions),
                loading=list(model.loading),
            )
            for model in registry.models.values()
        ],
        refused=registry.refused,
        unmet=context.unmet,
        queue=QueueHealth(
            items_in_work=engine.items_in_all,
            waiting_items=sum(items for items, _ in waiting),
            waiting_cost=sum(cost for _, cost in waiting),
        ),
    )


def not_live(context: Context) -> Iterator[str]:
    if context.engine.stalled_s > context.settings.stall_limit_s:
        yield "engine_stalled"


def not_ready(context: Context) -> Iterator[str]:
    if context.is_draining:
        yield "draining"
    for wanted in context.settings.required:
        name = context.models.resolve(wanted)[0]
        if (model := context.models.models.get(name)) is None:
            yield f"model_missing:{name}"
        elif model.is_loading:
            yield f"model_loading:{name}"
        elif not model.is_ready:
            yield f"model_not_ready:{name}"


def _probe(context: Context, response: Response, found: Iterable[str]) -> Probe:
    """An answer to whoever asks: where there are keys, without the names of models."""
    reasons = list(found) if context.gate is None else _without_names(found, keeping=())
    if reasons:
        response.status_code = 503
        if (after_s := retry_after_s(reasons)) is not None:
            response.headers["Retry-After"] = str(after_s)
    return Probe(ok=not reasons, reasons=reasons)


def retry_after_s(reasons: Iterable[str]) -> int | None:
    """When to look again; None where somebody must do something first."""
    return 1 if {reason.partition(":")[0] for reason in reasons} <= PASSING else None


def _without_names(reasons: Iterable[str], *, keeping: Container[str]) -> list[str]:
    """The reasons, each once; names of models that are not to be kept are left out."""
    parts = (reason.partition(":") for reason in reasons)
    return list(dict.fromkeys(f"{why}:{name}" if name in keeping else why for why, _, name in parts))
