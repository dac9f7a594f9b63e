"""How often an item is expected in a sample, against many draws of the very steps that training makes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bundle.preprocess.features.schema import FIRST
from training.recommender.objectives.sampling import Sampler
from training.recommender.objectives.targets import (
    choose_targets,
    one_target,
    place_probabilities,
    positive_shares,
)

Ints = npt.NDArray[np.int64]
STEPS = 4_000


def drawn(histories: list[Ints], which: Literal["latest", "random"], fraction: tuple[float, float]) -> Ints:
    """The positive of every history, STEPS times: int64 (steps, users)."""
    entries = torch.zeros(len(histories), max(map(len, histories)), dtype=torch.int64)
    for row, history in zip(entries, histories, strict=True):
        row[: len(history)] = torch.from_numpy(history) + FIRST
    entries = entries.repeat(STEPS, 1)  # every row draws for itself
    generator = np.random.default_rng(0)
    places = one_target(choose_targets(entries, which, fraction, generator), generator)
    positives = entries.gather(1, places.unsqueeze(1)) - FIRST
    assert (positives >= 0).all()
    return positives.reshape(STEPS, -1).numpy()


@pytest.mark.parametrize("which", ["latest", "random"])
@pytest.mark.parametrize("fraction", [(0.1, 0.4), (0.0, 1.0), (0.5, 0.5), (0.25, 0.25), (0.9, 1.0)])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 10])
def test_chances_of_a_place_are_those_of_many_draws(
    length: int, fraction: tuple[float, float], which: Literal["latest", "random"]
) -> None:
    places = drawn([np.arange(length)], which, fraction)[:, 0]

    expected = place_probabilities(length, which, fraction)

    assert np.bincount(places, minlength=length) / STEPS == pytest.approx(expected, abs=0.032)


@given(
    st.integers(1, 300),
    st.sampled_from(["latest", "random"]),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: (min(pair), max(pair))),
)
def test_chances_of_all_places_sum_to_1(
    length: int, which: Literal["latest", "random"], fraction: tuple[float, float]
) -> None:
    chances = place_probabilities(length, which, fraction)

    assert chances.sum() == pytest.approx(1.0)
    assert (chances >= -1e-12).all()
    assert (np.diff(chances) <= 1e-12).all()  # no place is likelier than a newer one


def test_shares_are_of_users_and_not_of_interactions() -> None:
    """One user with a hundred items, 99 users with {100, 101}, of which 101 is newer: each has one target."""
    histories = [np.arange(100), *[np.array([101, 100])] * 99]

    latest = positive_shares(histories, 102, "latest", (0.1, 0.4))
    random = positive_shares(histories, 102, "random", (0.1, 0.4))

    assert latest[100:].tolist() == pytest.approx([0.0, 0.99])
    assert random[100:].tolist() == pytest.approx([0.495, 0.495])
    assert random[:100].tolist() == pytest.approx([0.0001] * 100)
    assert latest[:100].sum() == pytest.approx(0.01)
    assert latest[40:100].tolist() == pytest.approx([0.0] * 60)


def test_users_without_items_do_not_count() -> None:
    nothing = np.zeros(0, dtype=np.int64)

    shares = positive_shares([nothing, np.array([1]), nothing], 3, "latest", (0.1, 0.4))

    assert shares.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("uniform", [0, 4])
@pytest.mark.parametrize("batch", [2, 5, 8])
def test_expected_counts_are_those_of_the_steps_of_training(batch: int, uniform: int) -> None:
    """Of eight users with histories of unlike length, some in a batch: what one who lacks an item is shown.

    An item of one's own is masked, so only others can bring it, of whom there is one fewer.
    """
    histories = [np.arange(6), np.array([6, 7]), *[np.array([6, 8, 9])] * 4, np.array([7]), np.array([3, 9])]
    positives = drawn(histories, "latest", (0.1, 0.9))
    shares = positive_shares(histories, 10, "latest", (0.1, 0.9))
    sampler, generator = Sampler(shares, len(histories), uniform), np.random.default_rng(1)
    seen, times, expected = np.zeros((8, 10)), np.zeros(8), np.zeros(10)
    for step in positives:
        users = generator.permutation(8)[:batch]
        sample = sampler.draw(torch.from_numpy(step[users]), generator)
        times[users] += 1
        seen[users] += np.bincount(sample.columns.numpy(), minlength=10)
        expected[sample.columns] = sample.log_expected.exp()

    for user, history in enumerate(histories):
        lacks = np.setdiff1d(np.flatnonzero(expected), history)
        assert seen[user, lacks] / times[user] == pytest.approx(expected[lacks], abs=0.1, rel=0.1)
