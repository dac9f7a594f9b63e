"""The parts that all encoders share: activations, pooling, hidden layers with a linear output.

Every reshape ends in its shape; n inputs, t tokens, d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from training.config.sections import Activation, HiddenConfig

ACTIVATIONS: Mapping[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
}


def mean_pool(tokens: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Mean of the real tokens. tokens (n, t, d), mask (n, t) of 0 and 1 -> (n, d)."""
    total = torch.matmul(mask.unsqueeze(1), tokens).squeeze(1)  # (n, 1, t) @ (n, t, d) -> (n, d)
    return total / mask.sum(1, keepdim=True).clamp(min=1.0)


def mean_sqrt_pool(tokens: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Sum of the real tokens over the square root of their number. (n, t, d), (n, t) -> (n, d)."""
    total = torch.matmul(mask.unsqueeze(1), tokens).squeeze(1)  # (n, d)
    return total / mask.sum(1, keepdim=True).clamp(min=1.0).sqrt()


def weighted_pool(tokens: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Mean weighted by a learned weight per token. weights (n, t), positive -> (n, d)."""
    kept = mask * weights
    total = torch.matmul(kept.unsqueeze(1), tokens).squeeze(1)  # (n, d)
    return total / kept.sum(1, keepdim=True).clamp(min=1e-9)


def max_pool(tokens: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Largest value of each dimension over the real tokens. -> (n, d)."""
    hidden = (1.0 - mask).unsqueeze(-1) * -1e9  # (n, t, 1)
    pooled: Tensor = (tokens + hidden).amax(1)
    return pooled


def first_pool(tokens: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """The first token. -> (n, d)."""
    return tokens[:, 0]


def last_pool(tokens: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """The last real token. -> (n, d)."""
    last = mask.sum(1).to(torch.int64) - 1  # (n,)
    place = (torch.arange(mask.shape[1]) == last.unsqueeze(1)).to(tokens.dtype)  # (n, t)
    return torch.matmul(place.unsqueeze(1), tokens).squeeze(1)  # (n, d)


def position_pool(tokens: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Mean in which the k-th token weighs k. -> (n, d). Source: SGPT, Muennighoff 2022, arXiv 2202.08904."""
    return weighted_pool(tokens, mask, mask.cumsum(1))


POOLINGS: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "mean": mean_pool,
    "mean_sqrt": mean_sqrt_pool,
    "weighted": weighted_pool,
    "max": max_pool,
    "first": first_pool,
}


class Int8Table(nn.Module):
    """Embeddings as int8 with one scale per row, expanded after the gather.

    Rounding is per row and per weight, so a vector does not depend on its neighbours in a batch, as it
    does with dynamic quantisation. v = scale * q, scale = max|v| / 127.

    Args:
        weights: float32 (entries, d).
    """

    quantized: Tensor
    scale: Tensor

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        scale = weights.abs().amax(1).clamp(min=1e-12) / 127.0
        self.register_buffer("scale", scale)  # (entries,)
        self.register_buffer("quantized", (weights / scale.unsqueeze(1)).round().to(torch.int8))

    def forward(self, index: Tensor) -> Tensor:
        """(n, t) -> (n, t, d)."""
        return self.quantized[index].float() * self.scale[index].unsqueeze(-1)


class HalfLinear(nn.Module):
    """A linear layer whose weights are kept in float16; it computes in float32.

    Half the bytes on disk. onnxruntime widens them once, when it loads the graph.

    Args:
        linear: the trained layer.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", linear.weight.detach().half())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return nn.functional.linear(x, self.weight.float(), self.bias)


def halve_layers(module: nn.Module) -> None:
    """Replace every linear layer inside by its float16 form."""
    for name, part in list(module.named_modules()):
        if isinstance(part, nn.Linear):
            module.set_submodule(name, HalfLinear(part))


def turn_linear(linear: nn.Linear, rotation: Tensor) -> None:
    """Let a linear layer give its output times an orthonormal (m, m) matrix."""
    linear.weight.copy_(rotation.T @ linear.weight)
    if linear.bias is not None:
        linear.bias.copy_(linear.bias @ rotation)


class Hidden(nn.Module):
    """[LayerNorm] -> (Linear -> activation -> dropout) x k -> Linear, plus a linear skip path.

    The last layer of the hidden path starts small where there is a skip path, so that training begins
    at the linear solution and the layers add to it, instead of losing it first.

    Args:
        input_dim: d of the input.
        config: widths, activation and so on.
    """

    def __init__(self, input_dim: int, config: HiddenConfig) -> None:
        super().__init__()
        self.skip: nn.Linear | None = None
        widths = config.widths
        layers: list[nn.Module] = [nn.LayerNorm(input_dim)] if config.layer_norm and widths else []
        dim = input_dim
        for width in widths:
            layers += [nn.Linear(dim, width), ACTIVATIONS[config.activation](), nn.Dropout(config.dropout)]
            dim = width
        output = nn.Linear(dim, config.output_dim)
        self.layers = nn.Sequential(*layers, output)
        if config.skip and widths:
            self.skip = nn.Linear(input_dim, config.output_dim, bias=False)
            with torch.no_grad():
                output.weight.mul_(0.1)
                output.bias.zero_()
        linear = self.skip or (output if not widths else None)
        if linear is not None:
            _start_near_identity(linear)

    def forward(self, x: Tensor) -> Tensor:
        """(n, input_dim) -> (n, output_dim)."""
        out: Tensor = self.layers(x)
        return out if self.skip is None else out + self.skip(x)

    def first(self) -> Tensor:
        """(input_dim, c): all that is first multiplied with the input, so that it can be folded into tables.

        x -> rest(x @ first()) is the same function as `forward`. A LayerNorm in front lets nothing through.
        """
        if isinstance(self.layers[0], nn.LayerNorm):
            return torch.eye(self.layers[0].normalized_shape[0])
        weights = [layer.weight for layer in (self.layers[0], self.skip) if isinstance(layer, nn.Linear)]
        return torch.cat(weights).detach().T

    def rest(self, read: Tensor) -> Tensor:
        """Apply all that comes after `first`: (n, c) -> (n, output_dim)."""
        linear = self.layers[0]
        if not isinstance(linear, nn.Linear):
            return cast(Tensor, self(read))
        width = linear.out_features
        out: Tensor = self.layers[1:](read[:, :width] + linear.bias)
        return out if self.skip is None else out + read[:, width:]


def _start_near_identity(linear: nn.Linear) -> None:
    """The linear path keeps the input's geometry at the start (exactly, when it does not cut)."""
    with torch.no_grad():
        nn.init.eye_(linear.weight)
        if linear.out_features > linear.in_features:
            nn.init.normal_(linear.weight[linear.in_features :], std=linear.in_features**-0.5)
        if linear.bias is not None:
            linear.bias.zero_()
