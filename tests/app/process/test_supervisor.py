"""The supervisor by itself, with processes that only pretend and a clock that is set by hand."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from app.process.supervisor import BACKOFF_S, BEGIN_S, STEADY_S, Supervisor
from app.settings import Settings
from app.shared.scoreboard import Field, Scoreboard, WorkerSlot

STALL_S, GRACE_S = 5.0, 7


class FakeProcess:
    """Does what the test tells it; remembers what it was sent."""

    def __init__(self, slot: int) -> None:
        self.slot, self.pid = slot, 1000 + slot
        self.status: int | None = None
        self.signals: list[int] = []

    def poll(self) -> int | None:
        return self.status

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        if number == signal.SIGKILL:
            self.status = -number


class Supervised:
    """A supervisor of fake processes."""

    def __init__(self, directory: Path, workers: int = 2) -> None:
        self.now_s = 1000.0
        self.started: list[FakeProcess] = []
        self.board = Scoreboard(directory, workers)
        settings = Settings(workers=workers, stall_limit_s=STALL_S, shutdown_grace_s=GRACE_S)
        self.supervisor = Supervisor(self._start, self.board, settings, clock=lambda: self.now_s)

    def _start(self, slot: int) -> FakeProcess:
        assert slot not in {one.slot for one in self.alive}, "a living process has that slot"
        self.started.append(FakeProcess(slot))
        return self.started[-1]

    @property
    def alive(self) -> list[FakeProcess]:
        return [one for one in self.started if one.status is None]

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.supervisor.step()

    def serve(self, process: FakeProcess) -> None:
        WorkerSlot(self.board, process.slot).beat()

    def pass_time(self, seconds: float, step_s: float = 0.5) -> None:
        """Let the clock go on, and the supervisor with it."""
        for _ in range(int(seconds / step_s)):
            self.now_s += step_s
            self.step()

    def settle(self) -> None:
        """Let every process serve, and end when it is told to."""
        for _ in range(20):
            for process in self.alive:
                self.serve(process)
                if process.signals:
                    process.status = 0
            self.step()


@pytest.fixture
def two(tmp_path: Path) -> Supervised:
    """Two workers that serve."""
    supervised = Supervised(tmp_path)
    supervised.settle()
    return supervised


def test_as_many_as_are_missing_start_at_once(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, workers=3)

    supervised.step()
    assert [one.slot for one in supervised.alive] == [0, 1, 2]
    supervised.settle()
    for process in supervised.alive[:2]:
        process.status = -signal.SIGKILL
    supervised.step()
    supervised.now_s += BACKOFF_S[1]
    supervised.step()
    assert sorted(one.slot for one in supervised.alive) == [0, 1, 2]


def test_one_that_died_is_replaced_in_its_slot_and_its_work_is_forgotten(two: Supervised) -> None:
    """What it had in work is no more, so it must not count towards the limits of those that live."""
    WorkerSlot(two.board, 0).publish(30, 500)
    two.started[0].status = -signal.SIGKILL
    two.step()

    assert (two.board.total(Field.ITEMS), two.board.total(Field.COST)) == (0, 0)
    assert [one.slot for one in two.alive] == [1, 0]
    assert two.board.total(Field.DEATHS) == 1


def test_the_pause_before_a_start_grows_while_they_die(two: Supervised) -> None:
    pauses = []
    for _ in range(len(BACKOFF_S) + 2):
        two.alive[-1].status = 1
        two.step()
        died_s = two.now_s
        while len(two.alive) < 2:
            two.now_s += 0.5
            two.step()
        pauses.append(two.now_s - died_s)
        two.serve(two.alive[-1])

    assert pauses == [*BACKOFF_S, BACKOFF_S[-1], BACKOFF_S[-1]]


def test_one_that_came_to_serve_is_replaced_at_once_however_often(two: Supervised) -> None:
    for _ in range(len(BACKOFF_S)):
        two.settle()
        two.now_s += STEADY_S
        two.alive[-1].status = -signal.SIGKILL
        two.step()
        assert len(two.alive) == 2
    two.settle()
    two.now_s += STEADY_S
    two.alive[-1].status = 1
    two.step()
    assert len(two.alive) == 2


def test_a_hang_up_reaches_those_that_have_begun_and_ends_nobody(two: Supervised) -> None:
    """One that is still being imported would die of the signal."""
    two.alive[0].status = -signal.SIGKILL
    two.step()
    two.supervisor.hang_up()
    two.step()

    assert [one.signals for one in two.alive] == [[signal.SIGHUP], []]
    assert len(two.started) == 3


def test_a_stop_reaches_one_that_just_started(two: Supervised) -> None:
    two.alive[0].status = -signal.SIGKILL
    two.step()
    two.supervisor.stop()
    two.step()

    assert [one.signals for one in two.alive] == [[signal.SIGTERM]] * 2
    two.settle()
    assert two.supervisor.is_done
    assert two.supervisor.status == 0


def test_one_that_hangs_is_killed_and_replaced(two: Supervised) -> None:
    hung, other = two.started
    two.board.set(hung.slot, Field.BEAT_MS, 1)  # long ago
    two.pass_time(STALL_S + 1)

    assert hung.signals == [signal.SIGKILL]
    assert not other.signals
    assert len(two.alive) == 2


def test_a_forward_pass_that_hangs_counts_as_silence_from_its_start(two: Supervised) -> None:
    """So that it takes one limit to notice, not two."""
    hung, _ = two.started
    slot = WorkerSlot(two.board, hung.slot)
    two.pass_time(STALL_S + 1)
    slot.beat(stalled_s=STALL_S - 1)
    two.step()
    assert not hung.signals
    slot.beat(stalled_s=STALL_S + 0.01)
    two.step()

    assert hung.signals == [signal.SIGKILL]


def test_after_a_pause_of_all_nobody_is_blamed(two: Supervised) -> None:
    """A container that was paused goes on as it was; one that hangs after it is found as any other."""
    hung, other = two.started
    two.now_s += 3600.0
    for process in (hung, other):
        two.board.set(process.slot, Field.BEAT_MS, 1)
    two.step()
    assert not hung.signals
    two.serve(other)
    two.pass_time(STALL_S + 1)

    assert hung.signals == [signal.SIGKILL]
    assert not other.signals


def test_one_that_never_begins_is_killed(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, workers=1)
    supervised.step()
    supervised.pass_time(BEGIN_S - 1)
    assert not supervised.started[0].signals
    supervised.pass_time(2)

    assert supervised.started[0].signals == [signal.SIGKILL]


def test_one_that_has_begun_and_still_loads_is_waited_for(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, workers=1)
    supervised.step()
    slot = WorkerSlot(supervised.board, supervised.started[0].slot)
    for _ in range(int(2 * BEGIN_S)):
        slot.beat(is_serving=False)
        supervised.pass_time(1)

    assert not supervised.board.is_serving(slot.number)
    assert not supervised.started[0].signals


def test_one_that_does_not_end_is_killed_and_the_status_tells(two: Supervised) -> None:
    two.supervisor.stop()
    two.started[0].status = 0
    two.now_s += GRACE_S
    two.step()
    assert two.started[1].signals == [signal.SIGTERM]
    two.now_s += 60
    two.step(2)

    assert two.started[1].signals == [signal.SIGTERM, signal.SIGKILL]
    assert two.supervisor.is_done
    assert two.supervisor.status == 1


def test_a_second_stop_does_not_wait(two: Supervised) -> None:
    two.supervisor.stop()
    two.supervisor.stop()
    two.step(2)

    assert two.supervisor.is_done


def test_it_ends_when_none_ever_served(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path)
    supervised.step()
    for process in supervised.started:
        process.status = 1
    supervised.step()

    assert supervised.supervisor.is_done
    assert supervised.supervisor.status == 1


def test_the_scoreboard_is_one_for_all(tmp_path: Path) -> None:
    one, other = WorkerSlot(Scoreboard(tmp_path, 3), 0), WorkerSlot(Scoreboard(tmp_path), 2)
    one.publish(3, 40)
    other.publish(5, 70)

    assert (one.others(), other.others()) == ((5, 70), (3, 40))
    assert one.scoreboard.total(Field.ITEMS) == 8


def test_settings_reach_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the command line, too, which their environment does not have."""
    given: dict[str, Any] = {"workers": 2, "models_dir": Path("/m"), "host": "::1", "listen_port": 1}

    assert Settings(**given).environment() == {
        "ENCODERY_HOST": "::1",
        "ENCODERY_LISTEN_PORT": "1",
        "ENCODERY_MODELS_DIR": "/m",
        "ENCODERY_WORKERS": "2",
    }
