"""The queue alone, with a clock of our own."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.engine.queue import PACKED_GRID, Budget, Entry, Queue
from bundle import Facts, Prepared

NEVER_S = 1e9
COSTS = st.lists(st.integers(1, 60), min_size=1, max_size=60)
BUDGETS = st.integers(1, 200)


def entry(cost: int, *, group: Any = None, row: int = 0, deadline_s: float = NEVER_S) -> Entry:
    return Entry(Prepared({}, cost, Facts()), group, row, deadline_s)


def filled(costs: list[int]) -> tuple[Queue, list[Entry]]:
    queue, entries = Queue(), [entry(cost, row=row) for row, cost in enumerate(costs)]
    queue.put(entries)
    return queue, entries


@given(COSTS, BUDGETS)
def test_every_entry_is_taken_once(costs: list[int], budget: int) -> None:
    queue, entries = filled(costs)

    taken: list[Entry] = []
    while batch := queue.take(Budget(budget), now_s=0):
        taken += batch

    assert sorted(one.row for one in taken) == [one.row for one in entries]
    assert (len(queue), queue.cost) == (0, 0)


@given(COSTS, BUDGETS)
def test_a_padded_batch_is_within_the_budget(costs: list[int], budget: int) -> None:
    """Unless it is a single entry that is over the budget by itself."""
    queue, _ = filled(costs)

    while batch := queue.take(Budget(budget), now_s=0):
        assert len(batch) == 1 or len(batch) * max(one.cost for one in batch) <= budget


@given(COSTS, BUDGETS)
def test_a_packed_batch_is_within_the_budget_and_its_grid_is_bounded(costs: list[int], budget: int) -> None:
    """Unless it is a single entry that is over the budget by itself."""
    queue, entries = filled(costs)

    taken = 0
    while batch := queue.take(Budget(budget, is_packed=True), now_s=0):
        taken += len(batch)
        one_by_one = [one.cost for one in batch]
        assert len(batch) == 1 or sum(one_by_one) <= budget
        assert len(batch) == 1 or len(batch) * max(one_by_one) <= PACKED_GRID * budget
    assert taken == len(entries)


def test_a_packed_batch_holds_unlike_costs() -> None:
    """Where padding would make 4 x 50 of it."""
    queue, _ = filled([50, 2, 3, 45])

    assert [one.cost for one in queue.take(Budget(100, is_packed=True), now_s=0)] == [50, 2, 3, 45]


@given(COSTS, BUDGETS)
def test_a_batch_could_not_hold_a_nearer_neighbour(costs: list[int], budget: int) -> None:
    """A batch is only left unfilled when the next entry in order of cost, on either side, does not fit."""
    queue, entries = filled(costs)

    batch = queue.take(Budget(budget), now_s=0)

    left = [one for one in entries if one not in batch]
    longest = max(one.cost for one in batch)
    for one in left:
        within = min(one.cost for one in batch) <= one.cost <= longest
        if within or one.cost < longest:
            assert (len(batch) + 1) * longest > budget
    shortest_of_longer = min((one.cost for one in left if one.cost >= longest), default=None)
    if shortest_of_longer is not None:
        assert (len(batch) + 1) * shortest_of_longer > budget


@given(COSTS, st.lists(st.integers(1, 60), max_size=100), BUDGETS)
def test_nobody_waits_longer_than_those_before(costs: list[int], later: list[int], budget: int) -> None:
    """An entry with k older ones is in one of the next k + 1 batches, whatever arrives meanwhile."""
    queue, entries = filled(costs)
    batch_of: dict[int, int] = {}

    for number in range(len(entries)):
        queue.put([entry(cost, row=-1) for cost in later])
        batch_of |= {one.row: number for one in queue.take(Budget(budget), now_s=0) if one.row >= 0}

    assert all(batch_of[row] <= row for row in range(len(entries)))


@given(COSTS, BUDGETS, st.booleans())
def test_nobody_is_overtaken_by_what_came_much_later(costs: list[int], budget: int, is_packed: bool) -> None:
    queue, bounds = Queue(), Budget(budget, is_packed)
    entries = [entry(cost, group=row, row=row) for row, cost in enumerate(costs)]
    for one in entries:
        queue.put([one])

    while batch := queue.take(bounds, now_s=0):
        oldest = batch[0]
        assert all(sum(costs[oldest.row : one.row]) <= bounds.window for one in batch)
        assert oldest is entries[0]
        entries = [one for one in entries if one not in batch]


def test_the_rows_of_one_request_came_at_once() -> None:
    """However much there is of it, its like costs go together."""
    queue, _ = filled([50, *[1] * 1000, 50])

    assert [one.cost for one in queue.take(Budget(100), now_s=0)] == [50, 50]


def test_like_costs_go_together() -> None:
    """Arrival order would pad every short entry to a long one."""
    queue, _ = filled([50, 2, 49, 3, 51, 1])

    assert [one.cost for one in queue.take(Budget(153), now_s=0)] == [50, 49, 51]
    assert [one.cost for one in queue.take(Budget(153), now_s=0)] == [2, 3, 1]


def test_an_entry_over_the_budget_goes_alone() -> None:
    queue, _ = filled([500, 1, 500])

    assert [[one.cost for one in queue.take(Budget(100), now_s=0)] for _ in range(3)] == [[500], [1], [500]]


def test_expired_entries_are_never_taken() -> None:
    queue = Queue()
    queue.put([entry(1, row=0, deadline_s=5), entry(1, row=1, deadline_s=50), entry(1, row=2, deadline_s=5)])

    assert [one.row for one in queue.take(Budget(100), now_s=5)] == [1]
    assert queue.take(Budget(100), now_s=5) == []
    assert (len(queue), queue.cost) == (0, 0)


class QueueMachine(RuleBasedStateMachine):
    """Puts, takes and drops in any order, against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.queue, self.waiting, self.now_s = Queue(), list[Entry](), 0.0

    @rule(
        costs=st.lists(st.integers(1, 40), max_size=8), group=st.integers(0, 3), patience_s=st.integers(1, 5)
    )
    def put(self, costs: list[int], group: int, patience_s: int) -> None:
        entries = [entry(cost, group=f"g{group}", deadline_s=self.now_s + patience_s) for cost in costs]
        self.queue.put(entries)
        self.waiting += entries

    @rule(budget=st.integers(1, 120))
    def take(self, budget: int) -> None:
        batch = self.queue.take(Budget(budget), self.now_s)
        alive = [one for one in self.waiting if one.deadline_s > self.now_s]
        assert set(map(id, batch)) <= set(map(id, alive))
        assert not alive or alive[0] in batch
        assert len(batch) <= 1 or len(batch) * max(one.cost for one in batch) <= budget
        rest = {id(one) for one in self.queue._arrived.values()}
        self.waiting = [one for one in self.waiting if id(one) in rest]
        assert all(one in self.waiting for one in alive if one not in batch)

    @rule(group=st.integers(0, 3))
    def drop(self, group: int) -> None:
        # Groups are compared by identity, as pending are.
        for name in {one.group for one in self.waiting if one.group == f"g{group}"}:
            self.queue.drop(name)
        self.waiting = [
            one for one in self.waiting if id(one) in {id(x) for x in self.queue._arrived.values()}
        ]

    @rule()
    def wait(self) -> None:
        self.now_s += 1

    @invariant()
    def adds_up(self) -> None:
        assert len(self.queue) == len(self.waiting)
        assert self.queue.cost == sum(one.cost for one in self.waiting)


TestQueueMachine = QueueMachine.TestCase
