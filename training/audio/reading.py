"""The convolutions' reading of sounds, altered or as they are: anew each time, or once where they are frozen.

p numbers for each window, w windows of a batch, n sounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from onnxruntime import InferenceSession
from torch import Tensor, nn

from bundle.encoder import OUTPUT
from bundle.preprocess import Layout, Prepared
from bundle.preprocess.audio import WINDOWS, AudioFacts, AudioPreprocessor, means_of
from bundle.preprocess.base import Arrays
from bundle.progress import Progress, phase
from bundle.sessions import open_session
from training.audio.augment import augmented
from training.audio.network import AudioEncoder
from training.audio.settings import AugmentConfig
from training.data.stream import RowNumbers
from training.export import export_graph

Samples = npt.NDArray[np.float32]


class Pooled(NamedTuple):
    """What was read of some sounds: (w, p), and the mean that each sound is of its windows, (n, w)."""

    windows: Tensor
    weights: Tensor


class Reading(Protocol):
    """Sounds, as the convolutions read them."""

    def altered(self, rows: RowNumbers, step: int) -> Pooled:
        """Some of them, altered; the same for the same step."""
        ...

    def clean(self, rows: RowNumbers) -> Pooled:
        """Some of them, as they are."""
        ...


class LiveReading:
    """Reads them each time, with what gradients flow through.

    Args:
        encoder: whose convolutions read.
        preprocessor: for windows.
        sounds: samples of each.
        config: how they are altered.
        seed: of how.
    """

    def __init__(
        self,
        encoder: AudioEncoder,
        preprocessor: AudioPreprocessor,
        sounds: Sequence[Samples],
        config: AugmentConfig,
        *,
        seed: int,
    ) -> None:
        self._encoder, self._preprocessor, self._config = encoder, preprocessor, config
        self._sounds, self._seed = sounds, seed

    def altered(self, rows: RowNumbers, step: int) -> Pooled:
        random, rate = np.random.default_rng([self._seed, step]), self._preprocessor.file.sample_rate
        return self._read([augmented(self._sounds[row], self._config, rate, random) for row in rows])

    def clean(self, rows: RowNumbers) -> Pooled:
        return self._read([self._sounds[row] for row in rows])

    def _read(self, sounds: Sequence[Samples]) -> Pooled:
        windows = [self._preprocessor.windows(one) for one in sounds]
        pooled = self._encoder.pooled(torch.from_numpy(np.concatenate(windows)))
        return Pooled(pooled, torch.from_numpy(means_of([len(one) for one in windows])))


class FrozenReading:
    """Reads each sound once as it is, and `copies` times altered: frozen convolutions find the same again.

    Args:
        session: of the convolutions: `frozen`.
        preprocessor: for windows.
        sounds: samples of each.
        config: how they are altered.
        copies: altered ones of each; 0 where nothing is learned from them.
        seed: of how.
    """

    def __init__(
        self,
        session: InferenceSession,
        preprocessor: AudioPreprocessor,
        sounds: Sequence[Samples],
        config: AugmentConfig,
        *,
        copies: int,
        seed: int,
    ) -> None:
        self._seed, self._copies = seed, list[list[Tensor]]()
        rate, random = preprocessor.file.sample_rate, np.random.default_rng(seed)
        total = len(sounds) * (1 + copies)
        with Progress(total=total, label="read the sounds", unit="sounds") as progress:
            for copy in range(1 + copies):
                self._copies.append([])
                for one in sounds:
                    heard = augmented(one, config, rate, random) if copy else one
                    (pooled,) = session.run([OUTPUT], {WINDOWS: preprocessor.windows(heard)})
                    self._copies[-1].append(torch.from_numpy(pooled))
                    progress.advance(1)

    def altered(self, rows: RowNumbers, step: int) -> Pooled:
        random = np.random.default_rng([self._seed, step])
        copies = random.integers(0, len(self._copies), len(rows))
        return _joined([self._copies[copy][row] for copy, row in zip(copies, rows, strict=True)])

    def clean(self, rows: RowNumbers) -> Pooled:
        return _joined([self._copies[0][row] for row in rows])


def _joined(sounds: Sequence[Tensor]) -> Pooled:
    return Pooled(torch.cat(list(sounds)), torch.from_numpy(means_of([len(one) for one in sounds])))


class _Pooled(nn.Module):
    """The encoder as far as its pooling: (w, s) -> (w, p)."""

    def __init__(self, encoder: AudioEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, windows: Tensor) -> Tensor:
        return self.encoder.pooled(windows)


def frozen(encoder: AudioEncoder, preprocessor: AudioPreprocessor) -> InferenceSession:
    """The convolutions for onnxruntime, which takes a third of torch's time for them."""

    def collate(batch: Sequence[Prepared]) -> Arrays:
        return {WINDOWS: np.concatenate([one.arrays[WINDOWS] for one in batch])}

    silence = np.zeros((2, preprocessor.file.window), dtype=np.float32)
    prepared = [Prepared({WINDOWS: silence}, cost=1, facts=AudioFacts())]
    with phase("prepare the convolutions"):
        return open_session(export_graph(_Pooled(encoder), Layout((WINDOWS,), collate), prepared))
