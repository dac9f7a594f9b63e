"""Low-rank adapters: a frozen linear layer learns by two thin matrices, and is one layer again afterwards.

y = W x + (alpha / r) B A x, with A (r, in) and B (out, r). B starts at 0, so the encoder starts unchanged.
Source: LoRA, Hu et al. 2021, arXiv 2106.09685.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.errors import ConfigError
from training.text.config.model import LoraConfig


class LoraLinear(nn.Module):
    """A linear layer with its adapter.

    Args:
        base: the layer; frozen.
        config: rank, alpha, dropout before the adapter.
    """

    def __init__(self, base: nn.Linear, config: LoraConfig) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = config.alpha / config.rank
        self.down = nn.Parameter(torch.empty(config.rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, config.rank))
        self.dropout = nn.Dropout(config.dropout)
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        out: Tensor = self.base(x) + self.scale * (self.dropout(x) @ self.down.T @ self.up.T)
        return out

    def merged(self) -> nn.Linear:
        """One layer that gives the same without dropout."""
        with torch.no_grad():
            self.base.weight += self.scale * self.up @ self.down
        return self.base


def add_lora(network: nn.Module, targets: Sequence[str], config: LoraConfig) -> None:
    """Freeze a network and give its linear layers of these names adapters.

    Args:
        network: changed in place.
        targets: last parts of names.
        config: rank, alpha, dropout.

    Raises:
        ConfigError: no layer has one of the names.
    """
    network.requires_grad_(False)
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    for target in targets:
        if not any(_last(name) == target for name in linear):
            there = ", ".join(sorted({_last(name) for name in linear}))
            raise ConfigError(f"model.lora.targets has {target!r}; the network's linear layers are {there}")
    for name in linear:
        if _last(name) in targets:
            base = network.get_submodule(name)
            assert isinstance(base, nn.Linear), name
            network.set_submodule(name, LoraLinear(base, config))


def merge_lora(network: nn.Module) -> None:
    """Put the adapters into their layers; without any, nothing happens."""
    for name, module in list(network.named_modules()):
        if isinstance(module, LoraLinear):
            network.set_submodule(name, module.merged())


def _last(name: str) -> str:
    return name.rpartition(".")[2]
