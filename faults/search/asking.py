"""Sends a recipe to a watched server, and tells what it cost."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

from faults.search import shapes
from faults.search.shapes import Recipe
from faults.search.watched import Watched

PATIENCE_S = 120.0
MOST_READ = 64 << 20  # bytes of an answer; a stream may go on and on
PIECE = 1 << 20


@dataclass(frozen=True)
class Cost:
    """What a request cost the server.

    Attributes:
        status: 0 for a connection that broke.
        stall_ms: the longest time for which the loop stood still.
        own_ms: the most CPU time of the loop's thread in one turn.
        grown_mib: what the process took more at its peak.
    """

    status: int
    sent: int
    answered: int
    stall_ms: float
    own_ms: float
    grown_mib: float


def ask(server: Watched, recipe: Recipe) -> Cost:
    """Send it once."""
    content = shapes.body(recipe)
    url = urlsplit(server.url)
    server.told()
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=PATIENCE_S)
    status = answered = 0
    try:
        connection.request("POST", recipe["path"], content, shapes.headers(recipe))
        response = connection.getresponse()
        status = response.status
        while answered < MOST_READ and (piece := response.read(PIECE)):
            answered += len(piece)
    except (ConnectionError, http.client.HTTPException):
        pass  # a status of 0 says so
    finally:
        connection.close()
    found = server.told()
    return Cost(status, len(content), answered, found["stall_ms"], found["own_ms"], found["grown_mib"])


def cheapest(server: Watched, recipe: Recipe, times: int) -> Cost:
    """Send it some times; what it cost whenever it was sent, and not what chance added."""
    costs = [ask(server, recipe) for _ in range(times)]
    return Cost(
        costs[0].status,
        costs[0].sent,
        costs[0].answered,
        min(cost.stall_ms for cost in costs),
        min(cost.own_ms for cost in costs),
        min(cost.grown_mib for cost in costs),
    )
