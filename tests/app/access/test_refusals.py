"""Refusals are told at once, then once a minute, and never without bound."""

from __future__ import annotations

import pytest
import structlog

from app.access.refusals import AGAIN_S, LINES_PER_S, MOST_CLIENTS, Refusals


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def note(
    refusals: Refusals, client: str = "10.0.0.1", caller: str = "", reason: str = "invalid_api_key"
) -> None:
    refusals.note(client=client, caller=caller, reason=reason, route="/encode")


def test_a_client_is_told_at_once_and_then_once_a_minute(clock: Clock) -> None:
    refusals = Refusals(clock)
    with structlog.testing.capture_logs() as lines:
        for _ in range(100):
            note(refusals)
        note(refusals, caller="search", reason="missing_scope")
        clock.now_s += AGAIN_S
        note(refusals)

    assert [(line["caller"], line["reason"], line["times"]) for line in lines] == [
        ("", "invalid_api_key", 1),
        ("search", "missing_scope", 1),
        ("", "invalid_api_key", 100),
    ]
    assert {(line["event"], line["client"], line["route"]) for line in lines} == {
        ("access.refused", "10.0.0.1", "/encode")
    }


def test_many_clients_fill_neither_log_nor_memory(clock: Clock) -> None:
    """And none of what they did is forgotten: it is told in numbers."""
    refusals = Refusals(clock)
    with structlog.testing.capture_logs() as lines:
        for number in range(20_000):
            note(refusals, client=f"10.0.{number >> 8}.{number & 255}")
            clock.now_s += 0.01
        clock.now_s += 10
        note(refusals, client="the last")

    assert len(lines) <= 200 * LINES_PER_S + LINES_PER_S + 1
    assert len(refusals._told) <= MOST_CLIENTS
    assert sum(line["times"] + line.get("more_of_others", 0) for line in lines) == 20_001


def test_what_was_counted_is_told_when_its_minute_is_over(clock: Clock) -> None:
    """Once, whether or not the client comes back."""
    refusals = Refusals(clock)
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            note(refusals)
        refusals.tell_due()
        assert [line["times"] for line in lines] == [1]
        for _ in range(3):
            clock.now_s += AGAIN_S
            refusals.tell_due()

    assert [(line["times"], line["route"]) for line in lines] == [(1, "/encode"), (4, "/encode")]
    assert not refusals._told


@pytest.mark.parametrize("clients", [1, 7, 500])
def test_at_the_end_all_that_was_counted_is_told_in_few_lines(clock: Clock, clients: int) -> None:
    refusals = Refusals(clock)
    with structlog.testing.capture_logs() as lines:
        for number in range(5 * clients):
            note(refusals, client=f"10.0.0.{number % clients}")
        clock.now_s += 1
        refusals.tell_all()

    assert sum(line["times"] + line.get("more_of_others", 0) for line in lines) == 5 * clients
    assert len(lines) <= 2 * LINES_PER_S + 1
