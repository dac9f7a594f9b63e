"""The loss against vectors that stay as they are."""

from __future__ import annotations

import math

import torch

from training.losses.locked import locked_contrast

CAPTIONS = torch.eye(3)
VECTORS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 5.0]], requires_grad=True)


def test_it_is_the_cross_entropy_over_all_captions() -> None:
    # cosines 1, 0, 0 by T = .5: exp(2) / (exp(2) + 2)
    expected = -math.log(math.exp(2) / (math.exp(2) + 2))

    found = locked_contrast(VECTORS, CAPTIONS, torch.tensor([0, 2]), 0.5)

    assert math.isclose(found.item(), expected, rel_tol=1e-6)


def test_what_is_alike_is_no_negative() -> None:
    alike = torch.tensor([[False, True, False], [True, True, False]])
    # the first has one negative, the second none
    expected = -math.log(math.exp(2) / (math.exp(2) + 1)) / 2

    found = locked_contrast(VECTORS, CAPTIONS, torch.tensor([0, 2]), 0.5, alike=alike)

    assert math.isclose(found.item(), expected, rel_tol=1e-6)


def test_smoothing_spreads_a_share_over_what_is_not_alike() -> None:
    alike = torch.tensor([[False, True, False], [False, False, False]])
    rows = [[2.0, 0.0], [0.0, 0.0, 2.0]]  # logits of what is not alike
    right = [0, 2]
    expected = 0.0
    for logits, place in zip(rows, right, strict=True):
        total = math.log(sum(map(math.exp, logits)))
        hard, soft = total - logits[place], sum(total - one for one in logits) / len(logits)
        expected += (0.9 * hard + 0.1 * soft) / 2

    found = locked_contrast(VECTORS, CAPTIONS, torch.tensor(right), 0.5, alike=alike, smoothing=0.1)
    found.backward()

    assert math.isclose(found.item(), expected, rel_tol=1e-6)
    assert torch.isfinite(VECTORS.grad).all()
