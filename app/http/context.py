"""What the routes share: the parts that `create_app` built, found through the request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from app.engine import Engine, Registry
from app.metrics import Metrics
from app.settings import Settings


@dataclass
class Context:
    """The parts of one app.

    Attributes:
        started_s: monotonic time of the start.
        is_draining: SIGTERM came; what was accepted is finished.
    """

    settings: Settings
    registry: Registry
    engine: Engine
    metrics: Metrics
    started_s: float = field(default=0.0)
    is_draining: bool = False


async def context_of(request: Request) -> Context:  # FastAPI would run a plain function on a thread
    return cast(Context, request.app.state.context)


Ctx = Annotated[Context, Depends(context_of)]
