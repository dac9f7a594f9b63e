"""Counting what happened in the last minutes."""

from __future__ import annotations

from app.metrics import MINUTES, LastMinutes


def test_what_is_older_than_the_last_minutes_counts_no_more() -> None:
    now = [30.0]
    lately = LastMinutes(lambda: now[0])
    lately.add(3)
    lately.add(4)
    now[0] += 60.0
    lately.add(5)

    assert lately.total == 12
    now[0] += 60.0 * (MINUTES - 1)
    assert lately.total == 5
    now[0] += 60.0
    assert lately.total == 0


def test_nothing_happened_at_first() -> None:
    assert LastMinutes().total == 0
