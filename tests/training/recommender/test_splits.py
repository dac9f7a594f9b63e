from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.recommender.data.splits import cold_items, split_at_moment, split_histories, split_users


@given(count=st.integers(0, 500), seed=st.integers(0, 2**31))
def test_every_user_is_in_exactly_one_part(count: int, seed: int) -> None:
    split = split_users(count, seed)

    assert sorted([*split.train, *split.validation, *split.test]) == list(range(count))
    assert len(split.test) == len(split.validation) == count // 10


def test_same_seed_splits_alike_and_another_does_not() -> None:
    assert split_users(100, 3).test.tolist() == split_users(100, 3).test.tolist()
    assert split_users(100, 3).test.tolist() != split_users(100, 4).test.tolist()


@given(length=st.integers(2, 200))
def test_latest_fifth_is_asked_for(length: int) -> None:
    found = split_histories(np.array([0]), [np.arange(length)])

    assert found.history[0].tolist() == list(range(max(1, int(0.8 * length))))
    assert found.history[0].tolist() + found.targets[0].tolist() == list(range(length))
    assert len(found.targets[0]) >= 1


def test_user_with_one_interaction_cannot_be_judged() -> None:
    found = split_histories(np.array([0, 1]), [np.array([7]), np.array([8, 9])])

    assert found.users.tolist() == [1]


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.25, 5)])
def test_share_of_items_is_cold(share: float, expected: int) -> None:
    found = cold_items(20, share, seed=0)

    assert len(set(found.tolist())) == expected
    assert found.tolist() == sorted(found.tolist())


@given(count=st.integers(10, 300), most=st.none() | st.integers(1, 40))
def test_no_fold_chooses_by_a_test_user_of_any_fold(count: int, most: int | None) -> None:
    folds = [split_users(count, 0, fold, most=most) for fold in range(5)]

    for part in ("test", "validation"):
        users = np.concatenate([getattr(fold, part) for fold in folds])
        assert len(set(users.tolist())) == len(users) > 0
    tests, validations = ({*np.concatenate([getattr(f, p) for f in folds])} for p in ("test", "validation"))
    assert not tests & validations
    for fold in folds:
        assert sorted([*fold.train, *fold.validation, *fold.test]) == list(range(count))


def test_later_targets_are_of_users_who_were_there_before() -> None:
    earlier = [np.array([0, 1]), np.array([], dtype=np.int64), np.array([2])]
    later = [np.array([5]), np.array([6]), np.array([], dtype=np.int64)]

    found = split_at_moment(np.arange(3), earlier, later)

    assert found.users.tolist() == [0]
    assert (found.history[0].tolist(), found.targets[0].tolist()) == ([0, 1], [5])
