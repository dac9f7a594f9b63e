"""The network: samples -> log-mel frames -> convolutions -> pooling -> hidden layers -> mean of the windows.

w windows of a batch, n sounds, s samples, b bins, f frames, c channels, d dimensions.

No convolution pads along time, and each window is encoded by itself: a vector depends on nothing but the
sound. The spectrum is a convolution as well, whose kernels are the sines and cosines of a Fourier transform:
onnxruntime gives 3e-8 of torch for it, and 6e-6 for the STFT operator.

The form of the blocks is that of Google's speech_embedding (github.com/google-research/google-research,
kws_streaming; Lin et al. 2020, arXiv 2002.01322), so that its weights can be a start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.audio.settings import AudioActivation, AudioModelConfig, AugmentConfig, FrontEndConfig
from training.errors import ConfigError
from training.layers import ACTIVATIONS, Hidden

FRAME_MS, STEP_MS = 25, 10
DYNAMIC_DB = 80.0  # what is softer than the loudest of a window by more is as good as silence
FULL_SCALE = 32768.0  # of 16 bits, at 16 kHz: the units of the start's network
LEAKY, FLOOR = 0.2, -0.4


def mel_filters(config: FrontEndConfig, points: int) -> npt.NDArray[np.float32]:
    """Triangles of equal area on Slaney's mel scale, linear up to 1 kHz: float32 (b, points // 2 + 1).

    Source: Slaney 1998, Auditory Toolbox; as librosa.filters.mel with its defaults.
    """
    edges = _to_hz(np.linspace(_to_mel(config.low_hz), _to_mel(config.high_hz), config.bins + 2))
    hz = np.arange(points // 2 + 1) * config.sample_rate / points
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((hz - left) / (middle - left), (right - hz) / (right - middle)).clip(min=0)
    return np.asarray(triangles * 2 / (right - left), dtype=np.float32)


def _to_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + float(np.log(hz / 1000) * 27 / np.log(6.4))


def _to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


class LogMel(nn.Module):
    """Power of mel bands in units of 10 dB. (w, s) -> (w, f, b)."""

    kernels: Tensor
    filters: Tensor

    def __init__(self, config: FrontEndConfig) -> None:
        super().__init__()
        length = config.sample_rate * FRAME_MS // 1000
        self.step = config.sample_rate * STEP_MS // 1000
        points = 1 << (length - 1).bit_length()
        hann, start = np.zeros(points), (points - length) // 2
        hann[start : start + length] = np.hanning(length + 1)[:-1]
        angles = 2 * np.pi / points * np.outer(np.arange(points // 2 + 1), np.arange(points))
        kernels = (
            np.concatenate([np.cos(angles), np.sin(angles)]) * hann * FULL_SCALE * 16_000 / config.sample_rate
        )
        self.register_buffer("kernels", torch.tensor(kernels[:, None], dtype=torch.float32))
        self.register_buffer("filters", torch.from_numpy(mel_filters(config, points)).unsqueeze(-1))

    def forward(self, samples: Tensor) -> Tensor:
        """(w, s) -> (w, f, b)."""
        squares = F.conv1d(samples.unsqueeze(1), self.kernels, stride=self.step).square()  # (w, 2 (k), f)
        half = squares.shape[1] // 2
        power = squares[:, :half] + squares[:, half:]  # (w, k, f)
        db = 10 * F.conv1d(power, self.filters).clamp(min=1e-10).log10()  # (w, b, f)
        loudest = db.amax((1, 2), keepdim=True)
        return (torch.maximum(db, loudest - DYNAMIC_DB) / 10 + 2).transpose(1, 2)  # (w, f, b)


class LeakyFloor(nn.Module):
    """max(leaky_relu(x, 0.2), -0.4), the activation of speech_embedding."""

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, LEAKY).clamp(min=FLOOR)


AUDIO_ACTIVATIONS: Mapping[AudioActivation, Callable[[], nn.Module]] = {
    "relu": ACTIVATIONS["relu"],
    "gelu": ACTIVATIONS["gelu"],
    "silu": ACTIVATIONS["silu"],
    "leaky_floor": LeakyFloor,
}


class Masks(nn.Module):
    """Wipes out a stretch of frames and a band of bins of each window, in training (SpecAugment).

    Source: Park et al. 2019, arXiv 1904.08779, without the warping of time.
    """

    def __init__(self, config: AugmentConfig) -> None:
        super().__init__()
        self.most = {1: config.mask_frames, 2: config.mask_bins}  # by axis of (w, f, b)

    def forward(self, frames: Tensor) -> Tensor:
        """(w, f, b) -> the same, with the window's mean in what is wiped out."""
        if not self.training:
            return frames
        hidden = torch.zeros_like(frames, dtype=torch.bool)
        for axis, most in self.most.items():
            size = frames.shape[axis]
            length = torch.rand(len(frames), 1) * min(most, size)
            start = torch.rand(len(frames), 1) * (size - length)
            places = torch.arange(size)
            wiped = (places >= start) & (places < (start + length).floor())  # (w, size)
            hidden |= wiped.unsqueeze(3 - axis)
        return torch.where(hidden, frames.mean((1, 2), keepdim=True), frames)


class AudioEncoder(nn.Module):
    """See the module. Takes windows (w, s), and the share that each has in each sound (n, w); gives (n, d).

    Raises:
        ConfigError: nothing is left of a window or of its bins after the blocks.
    """

    def __init__(self, front: FrontEndConfig, config: AudioModelConfig, augment: AugmentConfig) -> None:
        super().__init__()
        self.poolings = config.poolings
        self.log_mel, self.masks = LogMel(front), Masks(augment)
        self.blocks = nn.ModuleList()
        channels = 0
        for block in config.blocks:
            layers = [] if channels else _convolution(1, block.width, (3, 3), config)
            channels = channels or block.width
            for _ in range(block.pairs):
                layers += _convolution(channels, block.width, (1, 3), config)
                layers += _convolution(block.width, block.width, (3, 1), config)
                channels = block.width
            self.blocks.append(nn.Sequential(*layers, nn.MaxPool2d((block.pool_frames, block.pool_bins))))
        bins = _bins_left(front, config)
        self.last = nn.Conv2d(channels, config.output_width, (3, bins), bias=False)
        self._refuse_short_windows(front)
        self.hidden = Hidden(config.output_width * len(config.poolings), config.hidden)

    def _refuse_short_windows(self, front: FrontEndConfig) -> None:
        try:
            with torch.no_grad():
                self.eval().frames(torch.zeros(1, front.file.window))
        except RuntimeError:
            raise ConfigError(
                f"front_end.window_s is {front.window_s}: nothing is left of its frames after the blocks"
            ) from None
        self.train()

    def frames(self, windows: Tensor) -> Tensor:
        """(w, s) -> (w, c, f): what is known of each stretch of a window."""
        x = self.masks(self.log_mel(windows)).unsqueeze(1)  # (w, 1, f, b)
        for block in self.blocks:
            x = block(x)
        frames: Tensor = self.last(x)  # (w, c, f, 1)
        return frames.squeeze(-1)

    def pooled(self, windows: Tensor) -> Tensor:
        """(w, s) -> (w, p): what is known of each window."""
        frames = self.frames(windows)
        found = {"mean": frames.mean(-1), "max": frames.amax(-1), "min": frames.amin(-1)}
        return torch.cat([found[name] for name in self.poolings], dim=-1)

    def vectors(self, pooled: Tensor, weights: Tensor) -> Tensor:
        """(w, p), (n, w) -> (n, d), of norm 1."""
        return F.normalize(weights @ self.hidden(pooled), dim=-1)

    def forward(self, windows: Tensor, weights: Tensor) -> Tensor:
        """(w, s), (n, w) -> (n, d), of norm 1."""
        return self.vectors(self.pooled(windows), weights)


def _convolution(
    before: int, after: int, kernel: tuple[int, int], config: AudioModelConfig
) -> list[nn.Module]:
    """Over (frames, bins): padded over bins, so that their number stays, and never over frames."""
    layer = nn.Conv2d(before, after, kernel, padding=(0, kernel[1] // 2), bias=not config.batch_norm)
    norm = [nn.BatchNorm2d(after)] if config.batch_norm else []
    return [layer, *norm, AUDIO_ACTIVATIONS[config.activation]()]


def _bins_left(front: FrontEndConfig, config: AudioModelConfig) -> int:
    bins = front.bins
    for block in config.blocks:
        bins //= block.pool_bins
    if bins == 0:
        raise ConfigError(f"model.blocks pool {front.bins} bins away; pool fewer, by pool_bins")
    return bins
