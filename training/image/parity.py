"""Pictures that an exported encoder is compared on: small and large, wide and tall, of every format."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as Pillow

from bundle.preprocess.image import Image

SIZES = ((16, 16), (8, 24), (24, 8), (64, 64), (96, 64), (64, 128), (128, 128), (160, 120), (120, 160))
KINDS = ("PNG", "JPEG", "WEBP", "GIF")
MODES = {
    "PNG": ("RGB", "RGBA", "L", "P"),
    "JPEG": ("RGB", "L", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("P",),
}


def parity_pictures() -> list[Image]:
    """The same ones at every call; the first three are tiny, for the examples of a model."""
    found = list[Image]()
    for number in range(36):
        width, height = SIZES[number % len(SIZES)]
        kind = KINDS[number % len(KINDS)]
        mode = MODES[kind][number // len(KINDS) % len(MODES[kind])]
        out = io.BytesIO()
        _waves(number, width, height).convert(mode).save(out, kind)
        found.append(Image.from_bytes(out.getvalue()))
    return found


def _waves(seed: int, width: int, height: int) -> Pillow.Image:
    """Colours that rise and fall across the picture."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    channels = []
    for _ in range(3):
        across, down, phase = random.uniform(-0.3, 0.3, 3) * (1, 1, 20)
        channels.append(127.5 + 127 * np.sin(across * x + down * y + phase))
    return Pillow.fromarray(np.stack(channels, -1).round().astype(np.uint8))
