"""The size of batches is measured, with a clock that knows what each batch takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from app.engine.tuning import DEFAULT, BatchProfile, is_multithreading_faster, profile_batches
from bundle import Facts, Prepared

TEN = [Prepared({}, cost=10, facts=Facts())]


class Timed:
    """An encoder whose forward passes take what a function of the batch's cost says."""

    is_packed = True

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self._seconds, self.now_s = seconds, 0.0
        self.has_multithreaded, self.alone_s = True, 0.0
        self.costs: list[int] = []

    def run(self, batch: Sequence[Prepared]) -> np.ndarray:
        self.costs.append(sum(one.cost for one in batch))
        self.now_s += self._seconds(self.costs[-1])
        return np.zeros((len(batch), 1), np.float32)

    def run_multithreaded(self, batch: Sequence[Prepared]) -> np.ndarray:
        self.now_s += self.alone_s
        return np.zeros((len(batch), 1), np.float32)


def profile(
    seconds: Callable[[int], float], examples: Sequence[Prepared] = TEN
) -> tuple[BatchProfile, Timed]:
    encoder = Timed(seconds)
    return profile_batches(encoder, examples, clock=lambda: encoder.now_s), encoder  # type: ignore[arg-type]


def tuned(seconds: Callable[[int], float], examples: Sequence[Prepared] = TEN) -> tuple[int, Timed]:
    found, encoder = profile(seconds, examples)
    return found.batch_cost, encoder


def test_what_a_small_batch_takes_is_known() -> None:
    """A batch of 60 tokens is the smallest that is measured."""
    found, _ = profile(lambda cost: 1e-3 + 1e-4 * cost)

    assert found.rate == pytest.approx(60 / 7e-3)


def test_nothing_is_known_without_examples() -> None:
    assert profile(lambda cost: 1.0, examples=[])[0] == BatchProfile()


def test_the_smallest_batch_that_saturates_is_taken() -> None:
    """1 ms a call and 0.1 ms a token: 64 tokens reach 86 % of the rate of 2048, 256 reach 96 %."""
    cost, _ = tuned(lambda cost: 1e-3 + 1e-4 * cost)

    assert cost == 256


def test_the_best_batch_is_known_for_when_much_waits() -> None:
    """1024 tokens reach 99 % of the best rate, and anything larger gains only what measuring errs by."""
    found, _ = profile(lambda cost: 1e-3 + 1e-4 * cost)

    assert found.deep_cost == 1024


def test_a_rate_that_falls_with_size_gives_small_batches() -> None:
    cost, _ = tuned(lambda cost: 1e-5 * cost**1.5)

    assert cost == 64


def test_batches_that_would_block_a_worker_are_not_tried() -> None:
    _, encoder = tuned(lambda cost: 3e-3 * cost)

    assert max(encoder.costs) <= 128


def test_an_encoder_without_examples_gets_the_default() -> None:
    assert tuned(lambda cost: 1.0, examples=[])[0] == DEFAULT


@pytest.mark.parametrize("cost", [1, 5000])
def test_one_example_of_any_cost_is_enough(cost: int) -> None:
    found, _ = tuned(lambda cost: 1e-6 * cost, [Prepared({}, cost=cost, facts=Facts())])

    assert found == 64


@pytest.mark.parametrize(("alone_s", "worth_it"), [(0.008, True), (0.0095, False), (0.012, False)])
def test_more_threads_are_taken_for_a_lone_input_where_they_gain_a_tenth(
    alone_s: float, worth_it: bool
) -> None:
    encoder = Timed(lambda cost: 0.01)
    encoder.alone_s = alone_s

    assert is_multithreading_faster(encoder, TEN, clock=lambda: encoder.now_s) is worth_it  # type: ignore[arg-type]


def test_a_machine_that_is_busy_for_a_while_does_not_hide_what_threads_gain() -> None:
    """While others have the second core, two threads are slower than one."""
    encoder = Timed(lambda cost: 0.01)
    took_s = iter([0.03] * 8 + [0.006])

    def run_multithreaded(batch: Sequence[Prepared]) -> np.ndarray:
        encoder.now_s += next(took_s)
        return np.zeros((len(batch), 1), np.float32)

    encoder.run_multithreaded = run_multithreaded  # type: ignore[method-assign]

    assert is_multithreading_faster(encoder, TEN, clock=lambda: encoder.now_s)  # type: ignore[arg-type]


def test_without_a_session_for_it_nothing_is_tried() -> None:
    encoder = Timed(lambda cost: 0.01)
    encoder.has_multithreaded = False

    assert not is_multithreading_faster(encoder, TEN)  # type: ignore[arg-type]
    assert not encoder.costs
