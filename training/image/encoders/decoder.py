"""From a vector back to a small picture, for auto-encoders."""

from __future__ import annotations

from torch import Tensor, nn

SMALLEST = 4  # pixels each way, of the first layer


class Decoder(nn.Module):
    """Vectors [n, dim] to colours from 0 to 1, float32 [n, 3, side, side].

    Args:
        dim: of a vector.
        side: of the picture; a power of two times 4.
        width: channels of the first layer, halved at each of the next.
    """

    def __init__(self, dim: int, side: int, width: int) -> None:
        super().__init__()
        self.first, self._width = nn.Linear(dim, width * SMALLEST**2), width
        layers = list[nn.Module]()
        while side > SMALLEST:
            half = max(8, width // 2)
            layers += [nn.ReLU(), nn.ConvTranspose2d(width, half, 4, stride=2, padding=1)]
            width, side = half, side // 2
        self.layers = nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(width, 3, 3, padding=1), nn.Sigmoid())

    def forward(self, vectors: Tensor) -> Tensor:
        x = self.first(vectors).view(-1, self._width, SMALLEST, SMALLEST)
        made: Tensor = self.layers(x)
        return made
