"""L5: no body holds up the event loop, or takes memory out of proportion: the worst that a search found.

`python -m faults.search` looks for others. A stall is counted in CPU time; the shortest of some tries counts,
and the bounds are wide, since a busy machine has slower caches as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.search.__main__ import seeds
from faults.search.asking import cheapest
from faults.search.grammar import name_of
from faults.search.shapes import Recipe
from faults.search.watched import Watched, watched

MOST_STALL_MS, MOST_GROWTH_MIB = 150.0, 160.0
TRIES = 3


@pytest.fixture(scope="module")
def server(published: Path) -> Iterator[Watched]:
    with watched(published) as server:
        yield server


@pytest.mark.e2e
@pytest.mark.parametrize("recipe", seeds(), ids=lambda recipe: name_of(recipe)[:60])
def test_the_worst_bodies_that_were_found(
    server: Watched, recipe: Recipe, figure: Callable[..., None]
) -> None:
    cost = cheapest(server, recipe, TRIES)
    figure("L5", "longest stall of the event loop", cost.stall_ms, at_most=50.0, unit="ms")
    figure("L5", "largest growth by one request", cost.grown_mib, at_most=MOST_GROWTH_MIB, unit="MiB")

    assert 200 <= cost.status < 500
    assert cost.stall_ms < MOST_STALL_MS
    assert cost.grown_mib < MOST_GROWTH_MIB
