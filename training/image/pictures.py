"""The pictures of a run, decoded once: what the trained part of the encoder reads of each, view by view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bundle import InputError
from bundle.encoder import OUTPUT
from bundle.preprocess import Preprocessor
from bundle.preprocess.image import Image
from bundle.preprocess.image.pixels import Fit, pixels_of
from bundle.preprocess.image.preprocessor import PIXELS
from bundle.progress import Progress
from bundle.sessions import open_session
from training.data.media import MediaExample
from training.errors import ConfigError
from training.export import export_graph
from training.image.encoders.assembled import ImageEncoder
from training.image.parity import parity_pictures
from training.image.settings import AugmentConfig, ImageModel
from training.image.views import LARGER, Pixels, view_of

CHUNK = 64  # pictures at once
Lower: TypeAlias = Callable[[Pixels], Tensor]  # pixels [n, side, side, 3] to what `ImageEncoder.upper` takes


def squares_of(examples: Sequence[MediaExample], model: ImageModel) -> Pixels:
    """Pixels as a server prepares them. uint8 [n, side, side, 3]. Raises ConfigError."""
    return np.stack([_decoded(one, model.side, model.fit) for one in examples])


def canvases_of(examples: Sequence[MediaExample], model: ImageModel) -> Pixels:
    """What views are cut from. uint8 [n, s, s, 3], s a quarter more than the side. Raises ConfigError."""
    return np.stack([_decoded(one, round(LARGER * model.side), model.fit) for one in examples])


def _decoded(example: MediaExample, side: int, fit: Fit) -> Pixels:
    try:
        return pixels_of(Image.from_bytes(example.content()), side, fit).values
    except InputError as error:
        raise ConfigError(f"{example.place}: {example.path.name}: {error.reason}") from None


def lower_of(encoder: ImageEncoder, pixels: Pixels) -> Tensor:
    """What the part of the encoder that stays gives of pixels [n, side, side, 3]; in float32."""
    starts = range(0, len(pixels), CHUNK)
    with torch.no_grad():
        parts = [encoder.lower(torch.from_numpy(pixels[start : start + CHUNK])) for start in starts]
    return torch.cat(parts)


def kept_part(encoder: ImageEncoder, preprocessor: Preprocessor) -> Lower:
    """The part of the encoder that stays, run by onnxruntime: a third of the time that torch takes for it."""
    graph = export_graph(_Lower(encoder), preprocessor, preprocessor.prepare(parity_pictures()[:4]))
    session = open_session(graph, 1)

    def run(pixels: Pixels) -> Tensor:
        starts = range(0, len(pixels), CHUNK)
        parts = [session.run([OUTPUT], {PIXELS: pixels[start : start + CHUNK]})[0] for start in starts]
        return torch.from_numpy(np.concatenate(parts))

    return run


class _Lower(nn.Module):
    """`ImageEncoder.lower` as a module of its own."""

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> Tensor:
        return self.encoder.lower(pixels)


def vectors_of(encoder: ImageEncoder, lower: Tensor) -> npt.NDArray[np.float32]:
    """Vectors of what `lower_of` gave. float32 [n, dim]."""
    with torch.no_grad():
        parts = [encoder.upper(part.float()).numpy() for part in torch.split(lower, CHUNK)]
    return np.concatenate(parts)


@dataclass(frozen=True)
class KeptViews:
    """Views drawn once, as the part of the encoder that stays has read them.

    Attributes:
        lower: float16 [n, views, ...]; the first view is the picture itself.
    """

    lower: Tensor

    @classmethod
    def of(
        cls,
        examples: Sequence[MediaExample],
        lower: Lower,
        model: ImageModel,
        config: AugmentConfig,
        seed: int,
    ) -> KeptViews:
        """Draw them. Raises ConfigError."""
        random, parts = np.random.default_rng([seed, 1]), list[Tensor]()
        with Progress(total=len(examples), label="views", unit="pictures") as progress:
            for start in range(0, len(examples), CHUNK):
                some = examples[start : start + CHUNK]
                views = [squares_of(some, model)]
                canvases = canvases_of(some, model) if config.views > 1 else ()
                for _ in range(1, config.views):
                    views.append(np.stack([view_of(one, model.side, config, random) for one in canvases]))
                parts.append(torch.stack([lower(pixels).half() for pixels in views], 1))
                progress.advance(len(some))
        return cls(torch.cat(parts))

    def __call__(self, rows: npt.NDArray[np.int64], random: np.random.Generator) -> Tensor:
        """One view of each of these rows, for `ImageEncoder.upper`."""
        chosen = random.integers(self.lower.shape[1], size=len(rows))
        return self.lower[torch.from_numpy(rows), torch.from_numpy(chosen)].float()


@dataclass(frozen=True)
class DrawnViews:
    """Views drawn anew at every step.

    Attributes:
        canvases: uint8 [n, s, s, 3].
    """

    canvases: Pixels
    encoder: ImageEncoder
    side: int
    config: AugmentConfig

    def __call__(self, rows: npt.NDArray[np.int64], random: np.random.Generator) -> Tensor:
        """One view of each of these rows, for `ImageEncoder.upper`."""
        views = [view_of(self.canvases[row], self.side, self.config, random) for row in rows]
        return self.encoder.lower(torch.from_numpy(np.stack(views)))
