"""Torch's number of threads: chosen by timing the work, and followed while it runs."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from threadpoolctl import threadpool_info

from training.threads import (
    AGAIN_S,
    RECENT,
    RECENT_S,
    SHARE,
    Threads,
    fastest_algebra,
    fastest_threads,
    powers_of_two,
)


class Machine:
    """A machine on which a piece of work takes known seconds on each number of threads."""

    def __init__(self, seconds: Mapping[int, float]) -> None:
        self.seconds, self.number, self.now = dict(seconds), 0, 0.0
        self.runs: list[int] = []
        self.told: list[str] = []
        self.threads = Threads(max(seconds), apply=self._apply, clock=lambda: self.now, tell=self.told.append)

    def _apply(self, number: int) -> None:
        self.number = number

    def work(self) -> None:
        self.runs.append(self.number)
        self.now += self.seconds[self.number]

    def follow(self) -> int:
        self.threads.follow(self.work)
        return self.number


def test_small_work_beside_a_busy_core_takes_one_thread() -> None:
    machine = Machine({1: 0.010, 2: 0.330})

    assert machine.follow() == 1
    assert machine.told == ["computing on 1 of 2 threads: 10.0 ms a step, 330.0 ms on 2"]


@pytest.mark.parametrize(
    "seconds", [{1: 1.0, 2: 0.6}, {1: 8.0, 2: 4.0}, {1: 0.1, 2: 0.099}, {1: 0.1, 2: 0.1}]
)
def test_all_cores_are_kept_unless_fewer_are_clearly_faster(seconds: Mapping[int, float]) -> None:
    machine = Machine(seconds)

    assert machine.follow() == 2
    assert machine.told == []


def test_the_best_number_may_lie_between() -> None:
    machine = Machine({1: 0.4, 2: 0.25, 4: 0.2, 8: 0.5})

    assert machine.follow() == 4


def test_it_follows_a_machine_that_changes() -> None:
    """A core that was busy is free, and then busy again."""
    machine = Machine({1: 0.02, 2: 0.3})
    machine.follow()
    machine.seconds[2] = 0.012
    machine.now += AGAIN_S
    measured_before = len(machine.runs)
    machine.now += 1 / SHARE

    assert machine.follow() == 2
    assert len(machine.runs) > measured_before

    machine.seconds[2] = 0.3
    machine.now += AGAIN_S + 1 / SHARE

    assert machine.follow() == 1


class Bursts(Machine):
    """A machine whose busy core lets the first pieces on two threads pass, after each that was on one."""

    def __init__(self, burst: int) -> None:
        super().__init__({1: 0.001, 2: 0.015})
        self.burst, self._left = burst, burst

    def work(self) -> None:
        self.runs.append(self.number)
        self._left = self._left - 1 if self.number == 2 else self.burst
        self.now += 0.0009 if self.number == 2 and self._left >= 0 else self.seconds[self.number]


def test_a_few_quick_pieces_are_not_taken_for_the_rest() -> None:
    machine = Bursts(burst=6)

    assert [machine.follow() for _ in range(3)] == [1, 1, 1]


def test_work_that_takes_far_longer_than_was_measured_is_measured_again() -> None:
    """The burst outlasts the measuring: the slow steps themselves tell, long before the next time."""
    machine = Bursts(burst=50)
    assert machine.follow() == 2

    while machine.follow() == 2:
        with machine.threads.watching():
            machine.work()

    assert machine.now < 0.5 * AGAIN_S


def test_work_of_many_lengths_is_measured_within_its_share_of_the_time() -> None:
    machine = Machine({1: 0.02, 2: 0.01})
    measuring = 0.0
    while machine.now < 200:
        before = machine.now
        machine.follow()
        measuring += machine.now - before
        for _ in range(RECENT):
            with machine.threads.watching():
                machine.now += 5 * RECENT_S

    assert measuring <= 1.2 * SHARE * machine.now


def test_measuring_takes_a_small_share_of_the_time() -> None:
    machine = Machine({1: 0.9, 2: 0.8})
    measuring = 0.0
    while machine.now < 1000:
        before = machine.now
        machine.follow()
        measuring += machine.now - before
        machine.work()

    assert measuring <= 1.2 * SHARE * machine.now


def test_long_work_is_done_once_on_each_number_at_most() -> None:
    machine = Machine({1: 9.0, 2: 5.0})
    machine.follow()

    assert machine.runs == [2, 1]


def test_with_one_core_there_is_nothing_to_measure() -> None:
    machine = Machine({1: 1.0})

    assert machine.follow() == 1
    assert machine.runs == []


def test_candidates_end_with_all_cores() -> None:
    assert [powers_of_two(cores) for cores in (1, 2, 3, 4, 6, 16)] == [
        [1],
        [1, 2],
        [1, 2, 3],
        [1, 2, 4],
        [1, 2, 4, 6],
        [1, 2, 4, 8, 16],
    ]


def test_work_gives_what_it_makes_on_the_fastest_number() -> None:
    machine = Machine({1: 0.010, 2: 0.330})

    def work() -> int:
        machine.work()
        return machine.number

    assert [machine.threads.run(work) for _ in range(3)] == [1, 1, 1]
    assert machine.runs[-3:] == [1, 1, 1]


def test_torch_is_left_on_the_number_that_it_had() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), fastest_threads() as threads:
        threads.run(lambda: 1 / 0)

    assert torch.get_num_threads() == before


def test_closed_forms_have_one_number_of_threads_and_give_back_what_there_was() -> None:
    def numbers() -> list[int]:
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before, blas = torch.get_num_threads(), numbers()
    torch.set_num_threads(1)  # not what is measured first
    try:
        with fastest_algebra(64):
            assert set(numbers()) == {torch.get_num_threads()}
        assert torch.get_num_threads() == 1
        assert numbers() == blas
    finally:
        torch.set_num_threads(before)
