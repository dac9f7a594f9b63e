"""F6: clients that send half of a request, or read nothing of an answer, are left in time and cost little."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from counting import until

from app.settings import Settings
from bench import texts
from bench.load import Load
from bench.measure import measured
from bench.servers import ROOT, Running, ours, running
from faults.figures import is_long
from faults.overload import pinned
from faults.slow_clients import SORTS, Sort, crowd

SHORT_S = 1.0  # of each limit, in the short form
SLACK_S, LATE = 5.0, 60.0  # over the limit: for a lingering end, and a look at it; on any machine
SHARE = 0.5  # of the peak, which the others ask for
ROUNDS = 3

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def settings(effort: Callable[..., Any]) -> Settings:
    """A busy machine refuses some, and closes them as it closes who is idle."""
    limits = ("head_timeout_s", "body_timeout_s", "answer_timeout_s", "keep_alive_s")
    return effort(Settings(**dict.fromkeys(limits, SHORT_S)), Settings())


@pytest.fixture(scope="module")
def started(
    settings: Settings, published: Path, effort: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    models = effort(published, ROOT / "models")
    with ExitStack() as stack:
        with pinned(0):
            server = replace(ours(models), variables=settings.environment())
            one = stack.enter_context(running(server, tmp_path_factory.mktemp("log") / "log"))
        with pinned(1):
            yield one


@pytest.mark.parametrize("name", SORTS)
def test_slow_clients_are_left_in_time(
    name: str, settings: Settings, started: Running, effort: Callable[..., int], figure: Any
) -> None:
    sort, count = SORTS[name], effort(20, 500)
    limit_s = sort.periods * float(getattr(settings, sort.limit))
    with crowd(started.port, sort, count, comes_again=False) as clients:
        until(lambda: clients.connected == count)
        took_s = until(lambda: clients.closed == count, limit_s + LATE)

    figure("F6", f"{name}: all closed after", took_s, at_most=limit_s + SLACK_S, unit="s")


def test_slow_clients_leave_others_alone(started: Running, effort: Callable[..., Any], figure: Any) -> None:
    """In turns without and with them: what else the machine does must not be taken for their cost."""
    model, count = effort("text", "text-small"), effort(20, 500)
    bodies = texts.bodies(texts.texts(256), 1, model=model, encoding="base64", truncate="end")
    load = Load("127.0.0.1", started.port, "/encode", bodies, callers=8, seconds=effort(0.5, 4.0))
    peak = float(measured(load, started)["per_s"])
    load = replace(load, callers=0, rate=SHARE * peak, seconds=effort(0.5, 8.0))
    alone, beside = dict[str, list[float]](), dict[str, list[float]]()
    for _ in range(effort(1, ROUNDS)):
        for name, sort in effort(dict(list(SORTS.items())[-2:]), SORTS).items():
            if is_long():
                alone.setdefault(name, []).append(p99_ms(load, started))
            beside.setdefault(name, []).append(p99_beside(load, started, sort, count))

    for name in SORTS if is_long() else ():
        ratio = statistics.median(beside[name]) / statistics.median(alone[name])
        figure("F6", f"{name}: p99 of the others", statistics.median(beside[name]), unit="ms")
        figure("F6", f"{name}: p99 of the others, of that without", ratio, at_most=1.2)


def p99_ms(load: Load, started: Running) -> float:
    found = measured(load, started)
    assert set(found["statuses"]) <= {"200", "429"}  # a busy machine may refuse
    assert found["statuses"]["200"] > 0
    assert found["broken"] == 0
    return float(found["latency_ms"]["p99"])


def p99_beside(load: Load, started: Running, sort: Sort, count: int) -> float:
    with crowd(started.port, sort, count, comes_again=True) as clients:
        until(lambda: clients.connected >= count)
        until(lambda: is_idle(started))  # what they asked for is written, as far as it goes
        return p99_ms(load, started)


def is_idle(started: Running) -> bool:
    """The server waits for its clients: in CPU time, so that a busy machine does not look like work."""
    before = started.cpu_s()
    time.sleep(0.5)
    return started.cpu_s() - before < 0.1
