"""GET /models/{name}/shadow: how the version in the shadow of the current one does, on what was asked for."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, Field

from app.engine import UnknownModel
from app.http.context import Ctx
from app.http.errors import InvalidRequest, documented
from app.http.routes import RouteGroup
from app.shadow import FEWEST, KEPT
from bundle.aliases import SHADOW

routes = RouteGroup()


class RunTimes(BaseModel):
    """Milliseconds of a forward pass for one input, of both in turn in idle moments."""

    version: dict[str, float]
    shadow: dict[str, float]


class ShadowReport(BaseModel):
    """What one process of the server has compared; each sees a share of the requests."""

    model: str
    version: str = Field(description="that answers")
    shadow: str = Field(description="that is compared with it")
    same_space: bool
    since: float = Field(description="unix time")
    compared: int = Field(description="different inputs that both have encoded")
    dropped: int = Field(description="inputs that there was no idle moment for")
    failed: int = Field(description="inputs that one of them could not encode")
    waiting: int
    among: int = Field(description=f"inputs that the figures are of: the newest {KEPT} at most")
    overlap_at_10: float | None = Field(
        description="how many of an input's ten nearest among these are the same by both, on average; "
        f"null for fewer than {FEWEST}"
    )
    cosine: dict[str, float] | None = Field(
        description="quantiles of the cosine of both vectors of an input; null where they are of two spaces"
    )
    run_ms: RunTimes | None


@routes.get(
    "/models/{name}/shadow",
    responses=documented(UnknownModel, InvalidRequest),
    summary="A version in the shadow",
)
async def shadow(name: str, context: Ctx) -> ShadowReport:
    """Compare by what this process was asked for since it has the alias `shadow`. Raises InvalidRequest."""
    model = context.registry.model(name)
    current = model.versions.get(model.current or "")
    if current is None or (candidate := context.registry.shadow_of(current)) is None:
        raise InvalidRequest(
            f"{model.name} has no version in its shadow; its alias {SHADOW!r} names one: "
            f"PUT /models/{model.name}/aliases/{SHADOW}",
            code="no_shadow",
        )
    found = context.shadows.comparison(current, candidate)
    return ShadowReport(**await asyncio.to_thread(found.copied().report))
