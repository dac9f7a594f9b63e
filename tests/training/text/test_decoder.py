"""The decoder of a denoising encoder: it sees the vector and what came before, and nothing else."""

from __future__ import annotations

import torch

from training.text import losses
from training.text.encoders.decoder import Decoder

TOKENS, DIM = 7, 3


def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(TOKENS, DIM, 8)


def test_a_token_is_predicted_without_being_seen() -> None:
    """Changing token 2 changes the scores from position 3 on."""
    vectors, ids = torch.randn(1, DIM), torch.tensor([[1, 2, 3, 4, 5]])
    other = torch.tensor([[1, 2, 6, 4, 5]])
    made = decoder()
    same = (made(vectors, ids) == made(vectors, other)).all(-1)[0].tolist()

    assert same == [True, True, True, False, False]


def test_the_vector_is_seen_at_every_position() -> None:
    ids, made = torch.tensor([[1, 2, 3, 4]]), decoder()
    differences = (made(torch.zeros(1, DIM), ids) - made(torch.ones(1, DIM), ids)).abs().amax(-1)

    assert made(torch.zeros(1, DIM), ids).shape == (1, 4, TOKENS)
    assert bool((differences > 1e-3).all())


def test_padding_does_not_change_what_is_before_it() -> None:
    vectors, made = torch.randn(1, DIM), decoder()
    short, padded = made(vectors, torch.tensor([[1, 2]])), made(vectors, torch.tensor([[1, 2, 0, 0]]))

    assert torch.allclose(short, padded[:, :2], atol=1e-6)


def test_the_loss_reaches_the_vector() -> None:
    vectors = torch.randn(2, DIM, requires_grad=True)
    ids, mask = torch.tensor([[1, 2, 3], [4, 5, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    losses.reconstruction(decoder()(vectors, ids), ids, mask).backward()

    assert vectors.grad is not None
    assert bool((vectors.grad.abs().sum(1) > 0).all())
