"""L1, L2, L4: more than the server can do. What it can do it goes on doing, and refuses the rest at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from bench.measure import measured
from bench.servers import ROOT, Running
from faults.figures import is_long
from faults.overload import CALLERS, PROBES_MS, TARGETS, TEXTS, Model, Overload, overloaded

DEADLINE_S, LONG_DEADLINE_S = 1.0, 10.0  # a search box waits no longer; what the server allows by default
SENT_LATE_MS = 50.0  # more than that, and the generator itself was too slow
pytestmark = LONG = pytest.mark.skipif(not is_long(), reason="only in the long form: python3 dev.py faults")


@pytest.fixture(scope="module", params=[pytest.param("text", marks=LONG), "text-small"])
def model(request: pytest.FixtureRequest) -> Model:
    assert set(TEXTS) == {"text", "text-small"}
    return Model(request.param, DEADLINE_S)


@pytest.fixture(scope="module")
def server(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of this model, on a core of its own."""
    directory = tmp_path_factory.mktemp("overload")
    shutil.copytree(ROOT / "models" / model.name, directory / "models" / model.name)
    with overloaded(directory / "models", model.name, directory / "log") as started:
        yield started


@pytest.fixture(scope="module")
def peak(model: Model, server: Running, effort: Callable[..., Any]) -> float:
    """Requests per second."""
    return model.peak(server, effort(1.0, 4.0), effort(CALLERS[1:2], CALLERS))


def recorded(found: Overload, peak: float, times: int, figure: Callable[..., None], name: str) -> None:
    """The figures of L1 and L4."""
    answers, target = found.found, TARGETS[times]
    on_l1, on_l4 = partial(figure, "L1"), partial(figure, "L4")
    on_l1(f"{name}: goodput, of the peak", found.goodput / peak, at_least=target.goodput)
    on_l1(f"{name}: p99 of answers", answers["latency_ms"]["p99"], at_most=found.deadline_ms, unit="ms")
    on_l1(f"{name}: p99 of refusals", answers["refused_ms"]["p99"], at_most=target.refusals_ms, unit="ms")
    on_l1(f"{name}: other answers, or none", found.errors, at_most=0)
    on_l1(f"{name}: sent late, p99", answers["sent_late_ms"]["p99"], at_most=SENT_LATE_MS, unit="ms")
    on_l4(f"{name}: p99 of probes", found.probes.p99_ms, at_most=PROBES_MS, unit="ms")
    on_l4(f"{name}: probes that failed", len(found.probes.failures), at_most=0)


def always_holds(found: Overload) -> None:
    """On any machine: one that stands still for a moment makes accepted requests late, no more."""
    assert found.errors - found.expired == 0, found.found
    assert found.expired <= 0.05 * found.found["offered"], found.found
    assert found.found["statuses"].get("200", 0) > 0
    assert found.probes.took_s
    assert found.probes.failures == []


@pytest.mark.parametrize("times", [2, pytest.param(5, marks=LONG), 10])
def test_goodput_holds_and_the_rest_is_refused_at_once(
    times: int, peak: float, request: pytest.FixtureRequest, effort: Callable[..., Any], figure: Any
) -> None:
    model, server = request.getfixturevalue("model"), request.getfixturevalue("server")

    found = model.overload(server, times * peak, effort(2.0, 12.0))

    recorded(found, peak, times, figure, f"{model.name} at {times} times")
    always_holds(found)


@LONG
def test_goodput_holds_when_clients_wait_as_long_as_they_may(
    model: Model, server: Running, peak: float, figure: Any
) -> None:
    """Ten seconds: a long queue, in which nobody may wait for more."""
    found = Model(model.name, LONG_DEADLINE_S).overload(server, 10 * peak, 12.0, warm_s=10.0)

    recorded(found, peak, 10, figure, f"{model.name} at 10 times, waiting 10 s")
    always_holds(found)


def test_is_normal_again_soon_after(
    peak: float, model: Model, server: Running, effort: Callable[..., int], figure: Any
) -> None:
    """Half the peak, ten times the peak, half the peak again."""
    third = effort(2, 8)
    steps = [(1 / 3, 0.5 * peak), (1 / 3, 10 * peak), (1 / 3, 0.5 * peak)]
    found = measured(model.load(server, steps=steps, seconds=3 * third), server)
    before, after = found["by_second"][:third], found["by_second"][2 * third :]

    normal_ms = max(second["p99_ms"] for second in before)
    slow = [second["refused"] > 0 or not second["p99_ms"] <= 2 * normal_ms for second in after]
    back_s = len(slow) - slow[::-1].index(True) if True in slow else 0
    figure("L2", f"{model.name}: normal again after", back_s, at_most=5, unit="s")
    assert after[-1]["others"] == 0
    assert after[-1]["ok"] > 0
