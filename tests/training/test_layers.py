"""Activations, poolings and hidden layers: values, gradients, and what padding must not do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from training.config.sections import Activation, HiddenConfig, Pooling
from training.layers import ACTIVATIONS, POOLINGS, Hidden, last_pool, position_pool
from training.text.config.model import TextModelConfig
from training.text.encoders.classic import TextEncoder

EXACT = 1e-6  # float32 arithmetic of a few terms

TOKENS = torch.tensor(
    [[[1.0, -5.0], [3.0, 2.0], [9.0, 9.0]], [[-2.0, -4.0], [7.0, 7.0], [8.0, 8.0]]]
)  # (2, 3, 2)
MASK = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
WEIGHTS = torch.tensor([[1.0, 3.0, 5.0], [0.5, 5.0, 5.0]])

# Of the real tokens only: (1, -5) and (3, 2) in the first row, (-2, -4) alone in the second.
BY_HAND = {
    "mean": [[2.0, -1.5], [-2.0, -4.0]],
    "weighted": [[(1 * 1 + 3 * 3) / 4, (1 * -5 + 3 * 2) / 4], [-2.0, -4.0]],
    "mean_sqrt": [[4.0 / 2**0.5, -3.0 / 2**0.5], [-2.0, -4.0]],
    "max": [[3.0, 2.0], [-2.0, -4.0]],
    "first": [[1.0, -5.0], [-2.0, -4.0]],
}
SHAPES = [(skip, norm) for skip in (True, False) for norm in (True, False)]


def encoder(
    pooling: str, activation: str, *, skip: bool = True, norm: bool = True, seed: int = 0
) -> TextEncoder:
    torch.manual_seed(seed)
    hidden: dict[str, Any] = {"widths": [4], "output_dim": 3, "activation": activation}
    config = TextModelConfig.model_validate(
        {"embedding_dim": 3, "poolings": [pooling], "hidden": hidden | {"skip": skip, "layer_norm": norm}}
    )
    return TextEncoder(7, config).eval()


def test_the_tables_hold_what_configs_allow() -> None:
    assert set(ACTIVATIONS) == set(get_args(Activation))
    assert set(POOLINGS) == set(get_args(Pooling)) == set(BY_HAND)


@pytest.mark.parametrize("name", POOLINGS)
def test_pooling_by_hand(name: str) -> None:
    np.testing.assert_allclose(POOLINGS[name](TOKENS, MASK, WEIGHTS).numpy(), BY_HAND[name], atol=EXACT)


def test_poolings_of_networks_that_read_to_the_left_by_hand() -> None:
    """The last real token; and (1 x first + 2 x second) / 3 where there are two."""
    lengths = MASK.sum(1).long().tolist()
    for row, length in enumerate(lengths):
        real = TOKENS[row, :length]
        weights = torch.arange(1.0, length + 1).unsqueeze(1)
        torch.testing.assert_close(last_pool(TOKENS, MASK, MASK)[row], real[-1])
        by_position = (real * weights).sum(0) / weights.sum()
        torch.testing.assert_close(position_pool(TOKENS, MASK, MASK)[row], by_position)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", np.array([0.0, 0.0, 2.0])),
        ("tanh", np.tanh([-1.0, 0.0, 2.0])),
        ("sigmoid", 1 / (1 + np.exp([1.0, 0.0, -2.0]))),
        ("silu", np.array([-1.0, 0.0, 2.0]) / (1 + np.exp([1.0, 0.0, -2.0]))),
        ("gelu", np.array([-1.0 * 0.158655, 0.0, 2.0 * 0.977250])),  # x times the normal distribution at x
    ],
)
def test_activation_by_hand(name: Activation, expected: Any) -> None:
    found = ACTIVATIONS[name]()(torch.tensor([-1.0, 0.0, 2.0])).numpy()

    np.testing.assert_allclose(found, expected, atol=EXACT)


@pytest.mark.parametrize(("pooling", "activation"), list(product(POOLINGS, ACTIVATIONS)))
def test_padding_never_changes_a_vector(pooling: str, activation: str) -> None:
    """Whatever stands in the padding, and however much of it."""
    model = encoder(pooling, activation)
    ids, mask = torch.tensor([[3, 5, 1]]), torch.ones(1, 3, dtype=torch.int64)
    padded = torch.cat([ids, torch.tensor([[0, 6, 2, 2]])], dim=1)  # (1, 7)
    with torch.inference_mode():
        alone = model(ids, mask)
        with_padding = model(padded, (torch.arange(7) < 3).long().unsqueeze(0))

    torch.testing.assert_close(with_padding, alone, atol=EXACT, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_right(pooling: str, activation: str) -> None:
    """With and without skip path and layer norm, of every parameter, in float64."""
    for skip, norm in SHAPES:
        model = encoder(pooling, activation, skip=skip, norm=norm).double()
        parameters = tuple(parameter.detach().requires_grad_() for parameter in model.parameters())
        assert torch.autograd.gradcheck(vectors_of(model), parameters, fast_mode=True)


def vectors_of(model: TextEncoder) -> Callable[..., Tensor]:
    """The vectors of two texts, one of them padded, as a function of all parameters."""
    names = [name for name, _ in model.named_parameters()]
    ids, mask = torch.tensor([[3, 5, 1], [2, 4, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])

    def vectors(*values: Tensor) -> Tensor:
        named = dict(zip(names, values, strict=True))
        out: Tensor = torch.func.functional_call(model, named, (ids, Float64Mask.of(mask)))
        return out

    return vectors


class Float64Mask(torch.Tensor):
    """A mask whose `.float()` stays float64, so that a whole encoder can be checked in it."""

    @classmethod
    def of(cls, mask: Tensor) -> Tensor:
        return mask.double().as_subclass(cls)

    def float(self, memory_format: Any = None) -> Tensor:
        return self.as_subclass(Tensor)


def test_hidden_without_layers_is_linear() -> None:
    hidden = Hidden(2, HiddenConfig(widths=[], output_dim=2))
    x = torch.tensor([[1.0, 2.0]])

    torch.testing.assert_close(hidden(x), x)  # the identity at the start
    torch.testing.assert_close(hidden(3 * x), 3 * hidden(x))


def test_hidden_with_a_skip_path_starts_near_the_linear_solution() -> None:
    torch.manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(50, 16), dim=-1)
    hidden = Hidden(16, HiddenConfig(widths=[32], output_dim=16)).eval()
    cosines = torch.nn.functional.cosine_similarity(hidden(x).detach(), x)

    assert float(cosines.min()) > 0.95


def test_hidden_cuts_to_the_leading_dimensions_at_the_start() -> None:
    hidden = Hidden(3, HiddenConfig(widths=[], output_dim=2))

    assert hidden(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[1.0, 2.0]]


def test_hidden_wider_than_its_input_keeps_it_in_the_leading_dimensions() -> None:
    hidden = Hidden(2, HiddenConfig(widths=[], output_dim=5))
    out = hidden(torch.tensor([[1.0, 2.0]]))

    assert out.shape == (1, 5)
    assert out[0, :2].tolist() == [1.0, 2.0]


def test_dropout_is_for_training_only() -> None:
    torch.manual_seed(0)
    hidden = Hidden(8, HiddenConfig(widths=[64], dropout=0.5, output_dim=8))
    x = torch.randn(1, 8)

    assert not torch.equal(hidden(x), hidden(x))
    hidden.eval()
    assert torch.equal(hidden(x), hidden(x))
