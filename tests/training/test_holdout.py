"""What is held out: enough to decide, no copy on both sides, every class in its share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.holdout import copies_of, groups_of, held_out, held_out_count

KEYS = st.lists(st.integers(0, 40), min_size=1, max_size=300)


def keys(*values: int) -> npt.NDArray[np.uint64]:
    return np.array(values, dtype=np.uint64)


@pytest.mark.parametrize(
    ("n", "held"),
    [
        (0, 0), (1, 0), (2, 1), (4, 1), (50, 10), (896, 179), (1000, 200), (9000, 200), (20_000, 400),
        (10**6, 2000),
    ],
)  # fmt: skip
def test_enough_is_held_out_to_decide(n: int, held: int) -> None:
    learned, measured = held_out(np.arange(n), 0)

    assert held_out_count(n) == len(measured) == held
    assert sorted([*learned, *measured]) == list(range(n))


@given(groups=KEYS, seed=st.integers(0, 3))
def test_groups_stay_on_one_side_and_both_sides_have_some(groups: list[int], seed: int) -> None:
    numbers, _ = copies_of([keys(*groups)])
    learned, measured = held_out(numbers, seed)

    assert sorted([*learned, *measured]) == list(range(len(groups)))
    assert not {groups[row] for row in learned} & {groups[row] for row in measured}
    assert len(learned) > 0
    assert (len(measured) > 0) == (len(set(groups)) > 1)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=200))
def test_copies_are_rows_equal_in_every_part(pairs: list[tuple[int, int]]) -> None:
    """And a number is the place of its first row among the different ones."""
    numbers, first = copies_of([keys(*side) for side in zip(*pairs, strict=True)])
    different = list(dict.fromkeys(pairs))

    assert [different[number] for number in numbers] == pairs
    assert [pairs[row] for row in first] == different


def test_rows_are_held_together_through_others() -> None:
    """Rows 0, 1 and 2 by keys 1, 2 and 3, on either side; row 4 by 3 on the other side; 3 and 5 alone."""
    rest = np.arange(100, 300)
    first = keys(1, 2, 2, 9, 7, 11, *rest)
    second = keys(2, 8, 3, 10, 3, 12, *(rest + 1000))

    assert groups_of([first, second])[:6].tolist() == [0, 0, 0, 1, 0, 2]


def test_a_long_chain_is_one_group() -> None:
    chain, rest = np.arange(50), np.arange(1000, 3000)
    first, second = np.concatenate([chain, rest]), np.concatenate([chain + 1, rest + 10_000])
    order = np.random.default_rng(0).permutation(len(first))
    groups = groups_of([first[order].astype(np.uint64), second[order].astype(np.uint64)])

    assert len(set(groups[order < 50].tolist())) == 1
    assert groups.max() == 2000


def test_where_all_hangs_together_only_copies_do() -> None:
    """A thousand questions with five answers: a fifth of the questions can still be asked."""
    first, second = np.arange(1000, dtype=np.uint64), np.arange(1000, dtype=np.uint64) % 5
    groups = groups_of([first, second])

    assert len(set(groups.tolist())) == 1000
    assert len(held_out(groups, 0)[1]) == 200


@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 3))
def test_no_few_groups_decide(answers: int, each: int, seed: int) -> None:
    """Of many questions for few answers questions are held out, and of few for many answers, answers."""
    second = np.repeat(np.arange(answers, dtype=np.uint64), each)
    groups = groups_of([np.arange(len(second), dtype=np.uint64), second])
    measured = held_out(groups, seed)[1]

    assert len(set(groups[measured].tolist())) >= min(20, held_out_count(len(second)))


def test_a_group_that_is_half_of_what_is_measured_is_learned_from() -> None:
    groups = np.concatenate([np.zeros(150, dtype=np.int64), np.arange(1, 851)])
    for seed in range(20):
        assert 0 not in held_out(groups, seed)[1]


def test_every_class_is_held_out_in_its_share() -> None:
    """Of 1,000 rows a fifth: 100, 80, 19 or 20, and nothing of a class of one."""
    classes = np.repeat([0, 1, 2, 3], [500, 400, 99, 1])
    for seed in range(5):
        found = np.bincount(classes[held_out(np.arange(1000), seed, classes)[1]], minlength=4)

        assert found.sum() == 200
        assert np.abs(found - [100, 80, 20, 0]).max() <= 1


@given(st.lists(st.integers(0, 60), min_size=2, max_size=300), st.integers(0, 3))
def test_no_class_is_measured_that_is_not_learned(classes: list[int], seed: int) -> None:
    learned, measured = held_out(np.arange(len(classes)), seed, np.array(classes))

    several = {one for one in classes if classes.count(one) > 1}
    assert len(measured) > 0
    if several:
        assert {classes[row] for row in measured} <= {classes[row] for row in learned}


def test_without_copies_the_choice_is_as_it_always_was() -> None:
    """Large sets, such as those of the bundled encoders, are split as before."""
    order = np.random.default_rng(7).permutation(20_000)

    assert held_out(np.arange(20_000), 7)[1].tolist() == np.sort(order[:400]).tolist()
