"""How far content is believed, on items whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.recommender.choice.new_items import FEWEST, NewItems, choose_content

GROUPS, WARM, NEW, USERS = 4, 40, 8, 60
METRIC = "ndcg@100"


def question(matrix: float, users: int = USERS) -> NewItems:
    """Users had items of their group and took new ones of it; the matrix says so times a number."""
    group = np.arange(WARM) % GROUPS
    alike = np.asarray(group[:, None] == group[None, :], dtype=np.float32)
    np.fill_diagonal(alike, 0.0)
    histories = np.zeros((users, WARM), dtype=np.float32)
    for user in range(users):
        histories[user, np.flatnonzero(group == user % GROUPS)[:3]] = 1.0
    targets = [np.flatnonzero(np.arange(NEW) % GROUPS == user % GROUPS) for user in range(users)]
    return NewItems(np.arange(WARM), np.arange(WARM, WARM + NEW), matrix * alike, histories, targets)


def content() -> torch.Tensor:
    """One entry for each group, and one that all have."""
    places = torch.arange(WARM + NEW)
    places = torch.where(places < WARM, places, places - WARM) % GROUPS
    return torch.cat([torch.nn.functional.one_hot(places, GROUPS).float(), torch.ones(WARM + NEW, 1)], dim=1)


@pytest.mark.parametrize("own", [None, 1.0])
def test_best_settings_rank_new_items_by_their_group(own: float | None) -> None:
    chosen, tried = choose_content(question(1.0), content(), METRIC, own)

    assert chosen is not None
    assert max(one.figure for one in tried) == pytest.approx(1.0)
    assert [one.figure for one in tried if one.chosen] == [pytest.approx(1.0)]
    assert own is None or {one.value.split(", ")[1] for one in tried} == {"1"}


def test_own_items_help_where_the_matrix_says_nothing() -> None:
    """Without them all new items are alike."""
    chosen, _ = choose_content(question(0.0), content(), METRIC, None)

    assert chosen is not None
    assert chosen.own > 0.0


def test_few_users_choose_nothing() -> None:
    assert choose_content(question(1.0, users=FEWEST - 1), content(), METRIC, None) == (None, [])


def test_nothing_is_chosen_without_content() -> None:
    assert choose_content(question(1.0), torch.zeros(WARM + NEW, 0), METRIC, None) == (None, [])
