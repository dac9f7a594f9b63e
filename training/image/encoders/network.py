"""A small convolutional network of our own: stages of residual blocks, each half as large as the last.

Depthwise and pointwise convolutions, as in MobileNetV2 (https://arxiv.org/abs/1801.04381), with group norms
of one group: a batch norm would need statistics of batches, and is another function in training.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.image.settings import NetworkConfig
from training.layers import ACTIVATIONS

EXPAND = 2  # times the width within a block


class Block(nn.Module):
    """x + narrow(filter(widen(norm(x)))). [n, c, h, w] to the same."""

    def __init__(self, width: int, config: NetworkConfig) -> None:
        super().__init__()
        inner, kernel = EXPAND * width, config.kernel
        self.body = nn.Sequential(
            nn.GroupNorm(1, width),
            nn.Conv2d(width, inner, 1),
            ACTIVATIONS[config.activation](),
            nn.Conv2d(inner, inner, kernel, padding=kernel // 2, groups=inner),
            ACTIVATIONS[config.activation](),
            nn.Conv2d(inner, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y


class Network(nn.Module):
    """Colours, float32 [n, 3, side, side], to features [n, the last width]."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.width, self._pooling = config.widths[-1], config.pooling
        stages, inputs = list[nn.Module](), 3
        for width in config.widths:
            stages.append(nn.Conv2d(inputs, width, 3, stride=2, padding=1))
            stages += [Block(width, config) for _ in range(config.blocks)]
            inputs = width
        self.stages = nn.Sequential(*stages, nn.GroupNorm(1, inputs))

    def lower(self, colours: Tensor) -> Tensor:
        """Nothing of it is kept as it is."""
        return colours

    def upper(self, x: Tensor) -> Tensor:
        """All of it."""
        x = self.stages(x)  # [n, width, h, w]
        return x.mean((2, 3)) if self._pooling == "mean" else x.amax((2, 3))

    def tuned(self) -> list[nn.Parameter]:
        """The parameters that are trained."""
        return list(self.parameters())

    def forward(self, colours: Tensor) -> Tensor:
        return self.upper(self.lower(colours))
