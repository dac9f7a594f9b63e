"""The whole encoder, as it is exported: pixels -> colours -> backbone or network -> linear -> vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.image.encoders.lite import Lite0
from training.image.encoders.network import Network
from training.losses.unit import unit

# Of red, green and blue from 0 to 1, over ImageNet: what backbones were trained with.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageEncoder(nn.Module):
    """Pixels, uint8 [n, side, side, 3], to vectors [n, dim].

    Args:
        body: gives features.
        dim: length of a vector.
        normalize: vectors have norm 1.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, body: Lite0 | Network, dim: int, *, normalize: bool) -> None:
        super().__init__()
        self.body, self.normalize = body, normalize
        self.output = nn.Linear(body.width, dim)
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("scale", 1 / (255 * torch.tensor(STD).view(1, 3, 1, 1)))

    def colours(self, pixels: Tensor) -> Tensor:
        """Normalised colours, float32 [n, 3, side, side]."""
        return (pixels.permute(0, 3, 1, 2).float() - self.mean) * self.scale

    def lower(self, pixels: Tensor) -> Tensor:
        """What no step changes; for a network of our own the colours."""
        return self.body.lower(self.colours(pixels))

    def upper(self, lower: Tensor) -> Tensor:
        """The rest, to vectors [n, dim]."""
        vectors: Tensor = self.output(self.body.upper(lower))
        return unit(vectors) if self.normalize else vectors

    def forward(self, pixels: Tensor) -> Tensor:
        return self.upper(self.lower(pixels))
