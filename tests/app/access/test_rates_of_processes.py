"""The limits of a key are those of the server, however many processes serve."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.access import KeyRates, RateLimited, RateLimits
from app.shared.rate_table import RateTable
from app.shared.scoreboard import Field, Scoreboard, WorkerSlot

ROOT = Path(__file__).resolve().parents[3]
SPENDER = """
import sys, time
from pathlib import Path
from app.access import KeyRates, RateLimited, RateLimits
from app.shared.rate_table import RateTable
from app.shared.scoreboard import Scoreboard, WorkerSlot
slot = WorkerSlot(Scoreboard(Path(sys.argv[1])), int(sys.argv[2]))
rates, done, end = KeyRates("search", RateLimits(requests_per_s=200), RateTable(slot)), 0, float(sys.argv[3])
while time.monotonic() < end:
    try:
        rates.admit()
        done += 1
    except RateLimited:
        time.sleep(0.001)
print(done)
"""


@pytest.fixture
def board(tmp_path: Path) -> Scoreboard:
    return Scoreboard(tmp_path, 4)


def rates(board: Scoreboard, number: int, limits: RateLimits, name: str = "search") -> KeyRates:
    return KeyRates(name, limits, RateTable(WorkerSlot(board, number)))


def test_processes_together_get_what_one_would(board: Scoreboard) -> None:
    """In 3 s at 200 a second; each bucket begins full, with 200."""
    seconds, processes = 3.0, 3
    end_s = time.monotonic() + 2.0 + seconds  # starting takes a part of it
    command = [sys.executable, "-c", SPENDER, str(board.directory)]
    running = [
        subprocess.Popen(
            [*command, str(number), str(end_s)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        for number in range(processes)
    ]
    done = [int(one.communicate()[0]) for one in running]

    assert all(done)
    assert 200 < sum(done) <= 1.02 * (200 + 200 * (2.0 + seconds))


def test_what_one_process_spent_another_does_not_give_again(board: Scoreboard) -> None:
    limits = RateLimits(requests_per_s=2, tokens_per_s=1000)
    here, there = rates(board, 0, limits), rates(board, 1, limits)

    here.admit()
    there.admit()
    with pytest.raises(RateLimited, match="requests_per_s"):
        here.admit()
    there.spend_tokens([50_000])
    with pytest.raises(RateLimited, match="tokens_per_s"):
        here.check_tokens()


def test_other_keys_are_not_concerned(board: Scoreboard) -> None:
    limits = RateLimits(requests_per_s=1)
    rates(board, 0, limits).admit()

    rates(board, 1, limits, "shop").admit()
    rates(board, 1, RateLimits(requests_per_s=2)).admit()  # the same name with other limits is another row


def test_inputs_in_work_add_up_and_those_of_a_dead_process_do_not_count(board: Scoreboard) -> None:
    limits = RateLimits(max_in_work=3)
    here, there = rates(board, 0, limits), rates(board, 1, limits)

    here.begin(2)
    with pytest.raises(RateLimited, match="max_in_work"):
        there.begin(2)
    assert there.in_work == 2
    board.clear(0)  # as the supervisor does
    there.begin(2)
    assert board.get(1, Field.PID)
    assert rates(board, 0, limits).in_work == 2  # its successor begins with nothing


def test_a_full_table_takes_the_row_whose_buckets_are_full_for_longest(board: Scoreboard) -> None:
    table, limits = RateTable(WorkerSlot(board, 0), rows=2), RateLimits(requests_per_s=1e-3)
    first, second, third = (KeyRates(name, limits, table) for name in ("first", "second", "third"))

    first.admit()
    time.sleep(0.01)
    second.admit()
    third.admit()  # in the row of the first
    with pytest.raises(RateLimited):
        second.admit()
    with pytest.raises(RateLimited):
        third.admit()


def test_who_has_too_much_in_work_is_told_to_wait_as_long_as_his_requests_take() -> None:
    now_s = [0.0]
    one = KeyRates("search", RateLimits(max_in_work=1), clock=lambda: now_s[0])
    for _ in range(50):
        began_s = one.begin(1)
        now_s[0] += 7.5
        one.end(1, began_s)
    one.begin(1)

    with pytest.raises(RateLimited) as refused:
        one.begin(1)
    assert refused.value.retry_after_s == pytest.approx(7.5, rel=0.01)
