"""Views of a picture: parts of it, mirrored, in other light. Pictures are decoded as they are in serving."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from training.image.settings import AugmentConfig

Pixels = npt.NDArray[np.uint8]
LARGER = 1.25  # times the side, of what views are cut from
ASPECT = 0.25  # of a view: width to height from exp(-it) to exp(it)


def view_of(canvas: Pixels, side: int, config: AugmentConfig, random: np.random.Generator) -> Pixels:
    """A view by chance of a canvas [s, s, 3]. uint8 [side, side, 3]."""
    edge = canvas.shape[0]
    area, aspect = random.uniform(config.smallest, 1.0), math.exp(random.uniform(-ASPECT, ASPECT))
    width, height = (min(1.0, math.sqrt(area * each)) * edge for each in (aspect, 1 / aspect))
    left, top = random.uniform(0, edge - width), random.uniform(0, edge - height)
    box = (left, top, left + width, top + height)
    small = Pillow.fromarray(canvas).resize((side, side), Pillow.Resampling.BICUBIC, box=box)
    view = np.asarray(small)
    if random.random() < config.flip:
        view = view[:, ::-1]
    if config.colour:
        brightness, contrast = random.uniform(1 - config.colour, 1 + config.colour, 2)
        lit = view.astype(np.float32) * brightness
        mean = lit.mean()
        view = ((lit - mean) * contrast + mean).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(view)
