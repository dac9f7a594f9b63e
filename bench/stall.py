"""How long the largest valid request of each sort holds up the event loop.

    python3 dev.py bench --stall [--repeats 3]

The app and its client share this process and its loop. A stall is the most CPU time that the process used
between two turns of the loop: a thread that keeps Python's lock counts, and what a busy machine takes from
all does not. What stalls once may be chance, so the shortest of the repeats counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import structlog

from app.engine import load_registry
from app.main import create_app
from app.settings import settings_from
from bench import largest
from bench.machine import described
from bench.servers import ROOT
from bundle import Execution, Store

MOST_MS = 50.0  # promised, on a machine that may be three times as slow as this one
TICK_S = 0.001  # turns of the loop that watches


def main(arguments: Sequence[str]) -> None:
    """The command."""
    options = _options(arguments)
    results = {"machine": described(), "stalls": asyncio.run(_measured(options))}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "stall.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "stall.md").write_text(page(results))
    print(page(results))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench --stall", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="of each request")
    parser.add_argument("--only", default="", help="requests with this in their name")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


async def _measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = settings_from(models_dir=ROOT / "models")
    execution = Execution(max_threads=settings.threads)
    registry = load_registry(Store(settings.models_dir), versions_per_model=1, execution=execution)
    app = create_app(settings, registry)
    gc.collect()
    gc.freeze()  # as `app.process.server.run` does
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://bench", timeout=None) as client,
    ):
        return [
            {"request": name} | await _stalls(client, request, options.repeats)
            for name, request in largest.requests(ROOT / "models").items()
            if options.only in name
        ]


async def _stalls(client: httpx.AsyncClient, request: largest.Request, repeats: int) -> dict[str, Any]:
    stalls_ms: list[float] = []
    for _ in range(repeats):
        stalled_ms, response = await watched(
            client.post(request.path, content=request.body, headers={"Content-Type": request.media_type})
        )
        assert response.status_code == 200, response.text[:300]
        stalls_ms.append(stalled_ms)
    return {"bytes": len(request.body), "stalls_ms": stalls_ms}


async def watched(work: Awaitable[httpx.Response]) -> tuple[float, httpx.Response]:
    """The most CPU time between two turns of the loop, in ms, and the answer."""
    watching = asyncio.create_task(_longest_s())
    await asyncio.sleep(5 * TICK_S)
    response = await work
    watching.cancel()
    return 1e3 * await watching, response


async def _longest_s() -> float:
    """Until cancelled."""
    worst_s, before_s = 0.0, time.process_time()
    try:
        while True:
            before_s = time.process_time()
            await asyncio.sleep(TICK_S)
            worst_s = max(worst_s, time.process_time() - before_s)
    except asyncio.CancelledError:
        return max(worst_s, time.process_time() - before_s)


def page(results: dict[str, Any]) -> str:
    """The table."""
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, commit `{machine['commit']}`, {machine['date']}; "
        f"the shortest of {len(results['stalls'][0]['stalls_ms'])} repeats; {MOST_MS:.0f} ms are promised.",
        "",
        "| request | body, kB | longest stall, ms |",
        "|---|---|---|",
    ]
    lines += [
        f"| {one['request']} | {one['bytes'] / 1e3:.0f} | {min(one['stalls_ms']):.1f} |"
        for one in results["stalls"]
    ]
    return "\n".join(lines) + "\n"
