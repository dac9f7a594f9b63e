"""Of clients that are waited for some are left, the longest waiting first, when descriptors run out."""

from __future__ import annotations

from dataclasses import dataclass

from structlog.testing import capture_logs

from app.http.descriptors import AGAIN_S, RESERVE, SHARE, Descriptors

LIMIT = 100
SCARCE = LIMIT - LIMIT // RESERVE  # the first number of those that are kept free


@dataclass(eq=False)
class FakeConnection:
    since: float | None
    is_closed: bool = False

    def waits_since(self) -> float | None:
        return self.since

    def give_up(self) -> None:
        self.is_closed = True


class FakeClock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_longest_waiting_are_left_and_those_at_work_are_not() -> None:
    waiting = [FakeConnection(float(number)) for number in range(2 * SHARE)]
    at_work = [FakeConnection(None) for _ in range(3)]

    Descriptors(LIMIT).take(SCARCE, [*at_work, *reversed(waiting)])

    assert [one for one in waiting if one.is_closed] == waiting[:2]
    assert not any(one.is_closed for one in at_work)


def test_nobody_is_left_while_there_is_room() -> None:
    waiting = [FakeConnection(0.0)]

    Descriptors(LIMIT).take(SCARCE - 1, waiting)

    assert not waiting[0].is_closed


def test_the_log_says_it_once_a_minute_with_limit_and_way_out() -> None:
    clock = FakeClock()
    descriptors = Descriptors(LIMIT, clock)
    with capture_logs() as lines:
        for _ in range(5):
            descriptors.take(SCARCE, [FakeConnection(0.0)])
        descriptors.take(LIMIT - 1, [])
        clock.now_s = AGAIN_S
        descriptors.take(SCARCE, [FakeConnection(0.0)])

    assert [(line["limit"], line["closed"], line["without_any_that_waits"]) for line in lines] == [
        (LIMIT, 1, 0),
        (LIMIT, 5, 1),
    ]
    assert "ulimit -n" in lines[0]["way_out"]
