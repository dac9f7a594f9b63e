"""Cached gradients: those of one large pass, without its memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from training.text import losses
from training.text.chunks import chunks_of, in_chunks

SAME = 1e-6  # gradients of size 1 in float64: a missing part would be far larger
ITEMS, WIDTH = 24, 256


def one(_: int) -> int:
    """Every item costs the same, so that a budget is a number of items."""
    return 1


@given(st.lists(st.integers(1, 50)), st.integers(1, 200))
def test_chunks_hold_every_item_once_within_the_budget(costs: list[int], budget: int) -> None:
    chunks = [chunk for chunk in chunks_of(costs, budget, lambda cost: cost) if chunk]

    assert [cost for chunk in chunks for cost in chunk] == costs
    assert all(len(chunk) == 1 or len(chunk) * max(chunk) <= budget for chunk in chunks)
    for chunk, following in pairwise(chunks):  # no chunk could have held one more
        assert (len(chunk) + 1) * max(*chunk, following[0]) > budget


class Encoder:
    """A row number to a vector, through layers much wider than it."""

    def __init__(self, dropout: float = 0.0) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(6, WIDTH), nn.GELU(), nn.Dropout(dropout), nn.Linear(WIDTH, WIDTH), nn.Tanh(),
            nn.Linear(WIDTH, 5),
        )  # fmt: skip
        self.net.double()
        self.rows = torch.randn(ITEMS, 6, dtype=torch.float64)
        self.largest = 0

    def __call__(self, items: Sequence[int]) -> Tensor:
        self.largest = max(self.largest, len(items))
        vectors: Tensor = self.net(self.rows[list(items)])
        return vectors

    def gradients(self, size: int) -> Tensor:
        """Of InfoNCE between two halves, as one vector; dropout is drawn from seed 1."""
        torch.manual_seed(1)
        self.net.zero_grad()
        vectors = in_chunks(self, range(ITEMS), size, one)
        half = ITEMS // 2
        losses.infonce(vectors[:half], vectors[half:], 0.1, symmetric=True).backward()
        return torch.cat([p.grad.flatten() for p in self.net.parameters() if p.grad is not None])


@pytest.mark.parametrize("size", [1, 5, 12, 23])
def test_gradients_are_those_of_one_pass(size: int) -> None:
    encoder = Encoder()
    whole = encoder.gradients(0)
    encoder.largest = 0

    assert (encoder.gradients(size) - whole).abs().max() < SAME
    assert whole.abs().max() > 1e3 * SAME
    assert encoder.largest == size


def test_a_chunk_sees_the_same_dropout_twice() -> None:
    """By hand: the chunks one after the other, nothing forgotten."""
    encoder = Encoder(dropout=0.5)
    cached = encoder.gradients(8)
    torch.manual_seed(1)
    encoder.net.zero_grad()
    vectors = torch.cat([encoder(range(start, start + 8)) for start in range(0, ITEMS, 8)])
    losses.infonce(vectors[:12], vectors[12:], 0.1, symmetric=True).backward()
    plain = torch.cat([p.grad.flatten() for p in encoder.net.parameters() if p.grad is not None])

    assert (cached - plain).abs().max() < SAME
    encoder.net.eval()

    assert (encoder.gradients(8) - plain).abs().max() > SAME  # dropout was there


def test_intermediate_values_are_forgotten() -> None:
    """What autograd keeps for the backward pass: nothing as wide as the layers."""

    def kept(size: int) -> int:
        sizes: list[int] = []

        def note(tensor: Tensor) -> Tensor:
            sizes.append(tensor.shape[-1] if tensor.ndim > 1 and len(tensor) <= ITEMS else 0)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            in_chunks(Encoder(), range(ITEMS), size, one)
        return max(sizes, default=0)

    assert kept(0) == WIDTH
    assert kept(6) < WIDTH


def test_without_gradients_chunks_change_nothing() -> None:
    encoder = Encoder()
    with torch.no_grad():
        assert torch.allclose(in_chunks(encoder, range(ITEMS), 7, one), encoder(range(ITEMS)), atol=SAME)
