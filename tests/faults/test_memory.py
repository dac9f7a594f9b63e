"""M2: the largest valid requests of every sort, many at a time, within the memory that the container has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
import yaml
from routes import REFUSED

from app.main import create_app
from app.settings import Settings
from bench import largest
from bench.servers import ROOT, ours, running
from faults.figures import is_long

REQUESTS, AT_ONCE = 1000, 32
MIB = {"g": 1024, "m": 1}


def limit_mib() -> int:
    """Of the container, in docker-compose.yml."""
    [service] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    return int(service["mem_limit"][:-1]) * MIB[service["mem_limit"][-1]]


# They take no inputs; or refuse, since no bundled model does what they ask for.
NOTHING_LARGE = {
    *("/api/show", "/v2/repository/index"),
    *("/v2/repository/models/{model}/load", "/v2/repository/models/{model}/unload"),
    *("/embed_all", "/embed_sparse", "/predict", "/rerank"),
    *(REFUSED - {"/api/delete"}),
}


def test_there_is_a_largest_request_for_every_route() -> None:
    """Of all that take inputs: no way in is left unmeasured."""
    app = create_app(Settings())
    posts = {path for path, methods in app.openapi()["paths"].items() if "post" in methods}
    asked = {
        app.table.find({"type": "http", "method": "POST", "path": urlsplit(one.path).path}).path
        for one in largest.requests(ROOT / "models").values()
    }

    assert posts >= NOTHING_LARGE
    assert asked == posts - NOTHING_LARGE


@pytest.mark.skipif(not is_long(), reason="only in the long form: python3 dev.py faults")
def test_the_largest_requests_at_once_stay_within_the_container(
    tmp_path: Path, effort: Callable[..., Any], figure: Any
) -> None:
    requests = list(islice(cycle(largest.requests(ROOT / "models").values()), REQUESTS))
    with (
        running(ours(ROOT / "models"), tmp_path / "log") as server,
        httpx.Client(
            base_url=server.url, trust_env=False, timeout=120, limits=httpx.Limits(max_connections=AT_ONCE)
        ) as client,
    ):

        def ask(request: largest.Request) -> int:
            try:
                headers = {"Content-Type": request.media_type}
                return client.post(request.path, content=request.body, headers=headers).status_code
            except httpx.TransportError:
                return 0

        before = server.peak_mib()
        with ThreadPoolExecutor(AT_ONCE) as callers:
            statuses = Counter(callers.map(ask, requests))
        peak = server.peak_mib()

    figure("M2", "memory of the idle server, most so far", before, unit="MiB")
    figure("M2", "most memory", peak, at_most=limit_mib(), unit="MiB")
    figure("M2", "answered with vectors", statuses[200])
    figure("M2", "refused, or too late", sum(statuses[one] for one in (429, 503, 504)))
    figure(
        "M2",
        "other answers, or none",
        REQUESTS - sum(statuses[one] for one in (200, 429, 503, 504)),
        at_most=0,
    )
    assert statuses[200] > 0
    assert set(statuses) <= {200, 429, 503, 504}
