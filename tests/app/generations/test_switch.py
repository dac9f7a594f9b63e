"""The numbers by which processes agree on a generation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.shared.scoreboard import Field, Scoreboard
from app.shared.switch import Switch


@pytest.fixture(params=["alone", "shared"])
def switch(request: pytest.FixtureRequest, tmp_path: Path) -> Switch:
    return Switch.alone() if request.param == "alone" else Scoreboard(tmp_path, 2).switch


def test_before_the_first_generation_nobody_is_waited_for(switch: Switch) -> None:
    assert (switch.current, switch.offered, switch.waiting(1), switch.lacking(1)) == (0, 0, [], [])


def test_a_process_is_waited_for_until_it_says_yes_or_no(switch: Switch) -> None:
    switch.answers_by(0, 1)
    assert switch.waiting(2) == [0]
    switch.lacks(0, 2)
    assert (switch.waiting(2), switch.lacking(2)) == ([], [0])
    assert switch.waiting(3) == [0]
    switch.answers_by(0, 3)
    assert (switch.waiting(3), switch.lacking(3)) == ([], [])


def test_all_processes_see_one_switch(tmp_path: Path) -> None:
    one, other = Scoreboard(tmp_path, 3), Scoreboard(tmp_path)
    one.switch.offer(7)
    one.switch.flip(6)
    other.switch.answers_by(2, 6)

    assert (other.switch.offered, other.switch.current) == (7, 6)
    assert one.switch.waiting(7) == [2]
    assert len(other) == 3


def test_one_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    board = Scoreboard(tmp_path, 2)
    board.switch.answers_by(1, 4)
    board.clear(1)

    assert board.switch.waiting(5) == []


@given(values=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(Field), st.integers(0, 2**62))))
def test_the_numbers_of_slots_and_of_the_switch_do_not_touch(
    values: list[tuple[int, Field, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    board = Scoreboard(tmp_path_factory.mktemp("board"), 3)
    board.switch.offer(11)
    board.switch.flip(12)
    expected = {(slot, field): 0 for slot in range(3) for field in Field}
    for slot, field, value in values:
        board.set(slot, field, value)
        expected[slot, field] = value

    assert {(slot, field): board.get(slot, field) for slot, field in expected} == expected
    assert (board.switch.offered, board.switch.current) == (11, 12)
