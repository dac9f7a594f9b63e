"""What an encoder of pictures learns by: each a loss of the vectors of a batch, with what belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.data.media import MediaExample
from training.image.encoders.decoder import Decoder
from training.image.settings import (
    CaptionLoss,
    DistillLoss,
    LabelLoss,
    ReconstructionLoss,
    SupervisedLoss,
)
from training.locked import LockedText
from training.losses.labels import cross_entropy, supervised_contrast
from training.losses.locked import locked_contrast
from training.losses.unit import cosine

Rows = npt.NDArray[np.int64]
SAME = 0.97  # cosine from which on two captions say the same, and neither is a negative


class Objective(Protocol):
    """One loss."""

    def loss(self, vectors: Tensor, rows: Rows, random: np.random.Generator) -> Tensor:
        """Of the vectors [n, dim] of these examples."""
        ...


class Captions(nn.Module):
    """Contrast with all captions of the run."""

    vectors: Tensor

    def __init__(self, config: CaptionLoss, examples: Sequence[MediaExample], anchor: LockedText) -> None:
        super().__init__()
        self._config = config
        texts = list(dict.fromkeys(text for one in examples for text in one.captions))
        number = {text: index for index, text in enumerate(texts)}
        self._captions = [[number[text] for text in one.captions] for one in examples]
        self.register_buffer("vectors", torch.from_numpy(anchor.vectors(texts)), persistent=False)

    def loss(self, vectors: Tensor, rows: Rows, random: np.random.Generator) -> Tensor:
        config = self._config
        known = [place for place, row in enumerate(rows) if self._captions[row]]
        if not known:
            return vectors.sum() * 0.0
        chosen = [self._chosen(self._captions[rows[place]], random) for place in known]
        positives = torch.tensor(chosen)
        alike = self.vectors[positives] @ self.vectors.T > SAME  # [n, m]
        for index, place in enumerate(known):
            alike[index, self._captions[rows[place]]] = True
        alike[torch.arange(len(known)), positives] = False
        loss = locked_contrast(
            vectors[known],
            self.vectors,
            positives,
            config.temperature,
            alike=alike,
            smoothing=config.smoothing,
        )
        return config.weight * loss

    def _chosen(self, captions: Sequence[int], random: np.random.Generator) -> int:
        if len(captions) == 1 or random.random() < self._config.first:
            return captions[0]
        return captions[1 + int(random.integers(len(captions) - 1))]


class Labels(nn.Module):
    """Classes of the examples, told from the vector by one linear layer."""

    def __init__(self, config: LabelLoss, labels: Tensor, dim: int) -> None:
        super().__init__()
        self._config, self._labels = config, labels
        self.head = nn.Linear(dim, int(labels.max()) + 1)

    def loss(self, vectors: Tensor, rows: Rows, random: np.random.Generator) -> Tensor:
        labels = self._labels[torch.from_numpy(rows)]
        known = labels >= 0
        if not known.any():
            return vectors.sum() * 0.0
        scores = self.head(vectors[known])
        return self._config.weight * cross_entropy(scores, labels[known], smoothing=self._config.smoothing)


class Supervised(nn.Module):
    """Examples of one class near each other."""

    def __init__(self, config: SupervisedLoss, labels: Tensor) -> None:
        super().__init__()
        self._config, self._labels = config, labels

    def loss(self, vectors: Tensor, rows: Rows, random: np.random.Generator) -> Tensor:
        labels = self._labels[torch.from_numpy(rows)]
        known = labels >= 0
        if known.sum() < 2:
            return vectors.sum() * 0.0
        loss = supervised_contrast(vectors[known], labels[known], self._config.temperature)
        return self._config.weight * loss


class Distilled(nn.Module):
    """A teacher's features, told from the vector by one linear layer."""

    targets: Tensor

    def __init__(self, config: DistillLoss, targets: Tensor, dim: int) -> None:
        super().__init__()
        self._config = config
        self.register_buffer("targets", targets, persistent=False)  # [n, features]
        self.head = nn.Linear(dim, targets.shape[1])

    def loss(self, vectors: Tensor, rows: Rows, random: np.random.Generator) -> Tensor:
        targets = self.targets[torch.from_numpy(rows)].float()
        return self._config.weight * (1.0 - cosine(self.head(vectors), targets)).mean()


class Reconstructed(nn.Module):
    """The picture, made of the vector again by a decoder."""

    def __init__(self, config: ReconstructionLoss, squares: npt.NDArray[np.uint8], dim: int) -> None:
        super().__init__()
        self.config, self._squares = config, squares
        self.decoder = Decoder(dim, config.side, config.width)

    def loss(self, vectors: Tensor, rows: Rows, random: np.random.Generator) -> Tensor:
        return self.config.weight * self.errors(vectors, self._squares[rows]).mean()

    def errors(self, vectors: Tensor, squares: npt.NDArray[np.uint8]) -> Tensor:
        """Mean square of what each picture [side, side, 3] is off, of colours from 0 to 1. [n]."""
        off: Tensor = self.decoder(vectors) - small(squares, self.config.side)
        return off.square().mean((1, 2, 3))


def small(squares: npt.NDArray[np.uint8], side: int) -> Tensor:
    """Pictures [n, s, s, 3] as the decoder is to make them, float32 [n, 3, side, side] from 0 to 1."""
    colours = torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255
    return nn.functional.interpolate(colours, size=(side, side), mode="area")


def label_numbers(examples: Sequence[MediaExample]) -> Tensor:
    """Number of each example's label, in order of appearance; -1 for none. int64 [n]."""
    names = list(dict.fromkeys(one.label for one in examples if one.label is not None))
    number = {name: index for index, name in enumerate(names)}
    return torch.tensor([-1 if one.label is None else number[one.label] for one in examples])
