"""Losses of items against values derived by hand, their limits, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.recommender import losses

EXACT = 1e-6  # float32 arithmetic of a few terms
INF = math.inf


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)


def test_full_softmax_by_hand() -> None:
    """Row 1: scores (log 2, 0, 0), so p = (1/2, 1/4, 1/4); targets (1, 1, 0): (log 2 + log 4) / 2.

    Row 2: even scores, one target: log 3. Weights count by their share: (3, 1, 0) gives
    3/4 log 2 + 1/4 log 4.
    """
    scores = torch.tensor([[math.log(2), 0.0, 0.0], [0.0, 0.0, 0.0]])
    first = (math.log(2) + math.log(4)) / 2

    even = losses.full_softmax(scores, torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).item()
    weighed = losses.full_softmax(scores[:1], torch.tensor([[3.0, 1.0, 0.0]])).item()

    assert even == pytest.approx((first + math.log(3)) / 2, abs=EXACT)
    assert weighed == pytest.approx(0.75 * math.log(2) + 0.25 * math.log(4), abs=EXACT)


def test_full_softmax_with_items_not_asked_and_rows_without_target_is_finite() -> None:
    """Row 1: one of two asked items, both alike: log 2. Row 2 has no target and does not count."""
    scores = torch.tensor([[0.0, 0.0, -INF], [1.0, -INF, -INF]], requires_grad=True)
    loss = losses.full_softmax(scores, torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    loss.backward()

    assert loss.item() == pytest.approx(math.log(2), abs=EXACT)
    assert scores.grad is not None
    assert scores.grad.tolist() == [[-0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]


def test_nothing_to_learn_from_is_refused() -> None:
    """A loss of 0, or of NaN, would look like a step."""
    nobody = torch.zeros(0)
    with pytest.raises(ValueError, match="none of 2 users has a target"):
        losses.full_softmax(torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="no users"):
        losses.sampled_softmax(nobody, torch.zeros(0, 3), torch.zeros(3))
    with pytest.raises(ValueError, match="no users"):
        losses.bpr(nobody, torch.zeros(0, 3))


@pytest.mark.parametrize("loss", ["sampled_softmax", "bpr"])
def test_user_that_has_the_whole_sample_has_a_finite_gradient(loss: str) -> None:
    """Row 1 has every item of the sample, so it says nothing; row 2 does."""
    positive = torch.tensor([1.0, 0.0], requires_grad=True)
    sampled = torch.tensor([[-INF, -INF], [0.0, -INF]])
    value = losses.bpr(positive, sampled)
    if loss == "sampled_softmax":
        value = losses.sampled_softmax(positive, sampled, torch.zeros(2))
    value.backward()

    assert value.item() > 0
    assert positive.grad is not None
    assert positive.grad[0].item() == 0.0
    assert -1.0 < positive.grad[1].item() < 0.0


def test_full_softmax_of_one_target_a_row_is_cross_entropy() -> None:
    scores, labels = random(4, 5), torch.tensor([0, 3, 3, 1])
    targets = torch.nn.functional.one_hot(labels, 5).double()

    assert losses.full_softmax(scores, targets).item() == pytest.approx(cross_entropy(scores, labels).item())


def test_sampled_softmax_by_hand() -> None:
    """p = log 2; s = (0, log 3), expected 1/2 and 3 times: 2 / (2 + 1 / (1/2) + 3 / 3) = 2/5.

    With the positive, expected 1/2 times, corrected as well: 4 / (4 + 2 + 1) = 4/7.
    """
    positive, others = torch.tensor([math.log(2)]), torch.tensor([[0.0, math.log(3)]])
    log_expected = torch.tensor([0.5, 3.0]).log()

    plain = losses.sampled_softmax(positive, others, log_expected)
    corrected = losses.sampled_softmax(
        positive, others, log_expected, log_expected_positive=torch.tensor([0.5]).log()
    )

    assert plain.item() == pytest.approx(-math.log(2 / 5), abs=EXACT)
    assert corrected.item() == pytest.approx(-math.log(4 / 7), abs=EXACT)


def test_sampled_softmax_of_all_other_items_once_is_the_full_softmax() -> None:
    scores = random(4, 6)
    others = scores.clone()
    others[:, 0] = -INF  # item 0 is everybody's positive, so it is an accidental hit

    found = losses.sampled_softmax(scores[:, 0], others, torch.zeros(6, dtype=torch.float64))

    labels = torch.zeros(4, dtype=torch.int64)
    assert found.item() == pytest.approx(cross_entropy(scores, labels).item())


def test_sampled_softmax_has_the_gradient_of_the_full_one_on_average() -> None:
    """Draws by unlike chances, corrected: the mean gradient of many samples is the full softmax's.

    Without the correction it is not.
    """
    scores = random(1, 5).requires_grad_()
    (full,) = torch.autograd.grad(cross_entropy(scores, torch.tensor([0])), scores)
    shares, draws = torch.tensor([0.05, 0.5, 0.25, 0.1, 0.1], dtype=torch.float64), 4000
    columns = torch.multinomial(shares, draws, replacement=True, generator=torch.Generator().manual_seed(0))
    sampled = scores[:, columns].masked_fill(columns == 0, -INF)

    def gradient(log_expected: Tensor) -> Tensor:
        loss = losses.sampled_softmax(scores[:, 0], sampled, log_expected)
        return torch.autograd.grad(loss, scores, retain_graph=True)[0]

    assert torch.allclose(gradient((draws * shares[columns]).log()), full, atol=0.02)
    even = torch.full((draws,), math.log(draws / 5), dtype=torch.float64)
    assert not torch.allclose(gradient(even), full, atol=0.05)


def test_bpr_by_hand() -> None:
    """Gaps 0 and log 3: (log 2 + log(4/3)) / 2; an accidental hit does not count."""
    positive, others = torch.tensor([math.log(3)]), torch.tensor([[math.log(3), 0.0, -INF]])

    assert losses.bpr(positive, others).item() == pytest.approx(
        (math.log(2) + math.log(4 / 3)) / 2, abs=EXACT
    )


TARGETS = torch.tensor([[1.0, 0, 2], [0, 0, 0], [0, 1, 0], [1, 1, 1]], dtype=torch.float64)
OF_SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "full_softmax": lambda s: losses.full_softmax(s, TARGETS),
    "sampled_softmax": lambda s: losses.sampled_softmax(
        s[:, 0], s[:, 1:], torch.tensor([0.3, -1.0], dtype=torch.float64)
    ),
    "bpr": lambda s: losses.bpr(s[:, 0], s[:, 1:]),
    "full_softmax masked": lambda s: losses.full_softmax(
        s.masked_fill(torch.tensor([False, True, False]), -INF), TARGETS * torch.tensor([1.0, 0.0, 1.0])
    ),
}


@pytest.mark.parametrize("name", OF_SCORES)
def test_gradients_of_scores_are_right(name: str) -> None:
    assert torch.autograd.gradcheck(OF_SCORES[name], (random(4, 3),))
