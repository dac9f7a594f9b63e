"""The network of sounds: its front end, its form, and weights from elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import sounds
import torch
from tones import CONFIG, STARTED, config, onnx_of
from torch import nn

from training.audio.network import AudioEncoder, LogMel, Masks, mel_filters
from training.audio.settings import AudioModelConfig, AugmentConfig, FrontEndConfig, StartConfig
from training.audio.start import load_start
from training.errors import ConfigError

FRONT = FrontEndConfig(**CONFIG["front_end"])
MODEL = config().model
PLAIN = AugmentConfig()


def encoder(model: AudioModelConfig = MODEL, augment: AugmentConfig = PLAIN) -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoder(FRONT, model, augment).eval()


def test_frames_are_those_of_a_fourier_transform() -> None:
    """Golden mel frames, by numpy's transform of each stretch of 25 ms."""
    samples = sounds.noise(0, 0.3)
    hann, filters = np.zeros(256), mel_filters(FRONT, 256)
    hann[28:228] = np.hanning(201)[:-1]
    starts = range(0, len(samples) - 255, 80)
    power = np.array([np.abs(np.fft.rfft(samples[start : start + 256] * hann)) ** 2 for start in starts])
    db = 10 * np.log10(np.maximum(power * (32_768 * 2) ** 2 @ filters.T, 1e-10))
    expected = np.maximum(db, db.max() - 80) / 10 + 2

    found = LogMel(FRONT)(torch.from_numpy(samples)[None])[0].numpy()

    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_each_band_holds_one_share_of_the_spectrum() -> None:
    """Slaney's triangles have equal areas, up to what the grid of the transform leaves."""
    filters = mel_filters(FrontEndConfig(sample_rate=16_000, bins=20), 4096)
    areas = filters.sum(1) * 16_000 / 4096
    np.testing.assert_allclose(areas, 1.0, atol=0.02)
    peaks = filters.argmax(1) * 16_000 / 4096
    assert (np.diff(peaks) > 0).all()
    assert 60 < peaks[0] < peaks[-1] < 3_800


def test_louder_is_the_same_picture_in_other_units() -> None:
    samples = torch.from_numpy(sounds.noise(1, 0.3))[None]
    front = LogMel(FRONT)
    torch.testing.assert_close(
        front(samples * 10) - front(samples), torch.full((1, 27, 16), 2.0), atol=1e-4, rtol=0
    )


def test_a_sound_is_the_mean_of_its_windows_and_depends_on_nothing_else() -> None:
    network = encoder()
    windows = torch.from_numpy(np.stack([sounds.noise(seed, 0.3) for seed in range(3)]))
    weights = torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5]])
    with torch.no_grad():
        together = network(windows, weights)
        first = network(windows[:1], torch.ones(1, 1))
        each = network.hidden(network.pooled(windows[1:]))
    torch.testing.assert_close(together[:1], first)
    torch.testing.assert_close(together[1], nn.functional.normalize(each.mean(0), dim=-1))


def test_masks_wipe_out_a_stretch_and_a_band_in_training_alone() -> None:
    frames = torch.randn(6, 30, 16)
    masks = Masks(AugmentConfig(mask_frames=10, mask_bins=4))
    torch.manual_seed(0)
    hidden = masks.train()(frames) != frames
    assert hidden.any()
    for one in hidden:
        frames_hidden, bins_hidden = one.all(1).sum(), one.all(0).sum()
        assert frames_hidden <= 10
        assert bins_hidden <= 4
        assert (one == (one.all(1)[:, None] | one.all(0)[None])).all()
    torch.testing.assert_close(masks.eval()(frames), frames)


@pytest.mark.parametrize(
    ("front", "blocks", "message"),
    [
        ({"window_s": 0.05}, [{"width": 4}], "window_s is 0.05"),
        ({}, [{"width": 4, "pairs": 1, "pool_bins": 4}] * 3, "pool 16 bins away"),
    ],
)
def test_blocks_that_leave_nothing_are_refused(front: dict[str, Any], blocks: Any, message: str) -> None:
    own = FrontEndConfig(**(CONFIG["front_end"] | {"lead_s": 0.0, "hop_s": 0.05} | front))
    model = AudioModelConfig.model_validate(CONFIG["model"] | {"blocks": blocks})
    with pytest.raises(ConfigError, match=message):
        AudioEncoder(own, model, PLAIN)


def start_of(path: Path, content: bytes) -> StartConfig:
    path.write_bytes(content)
    return StartConfig(source=str(path), sha256=hashlib.sha256(content).hexdigest())


def test_a_start_has_the_convolutions_of_its_file(tmp_path: Path) -> None:
    torch.manual_seed(5)
    theirs = AudioEncoder(FRONT, STARTED, PLAIN).eval()
    own, window = encoder(STARTED), torch.from_numpy(sounds.noise(0, 0.3))[None]

    load_start(own, start_of(tmp_path / "theirs.onnx", onnx_of(theirs)))

    torch.testing.assert_close(own.frames(window), theirs.frames(window))


@pytest.mark.parametrize("case", ["shapes", "count", "digest", "missing", "package"])
def test_another_start_than_expected_is_refused(tmp_path: Path, case: str) -> None:
    wide = STARTED.model_copy(update={"output_width": 9})
    start = start_of(tmp_path / "theirs.onnx", onnx_of(encoder(wide)))
    changes = {
        "digest": {"sha256": "0" * 64},
        "missing": {"source": str(tmp_path / "none.onnx")},
        "package": {"source": "package:no_such_package/a.onnx"},
    }.get(case, {})
    if case == "count":
        content = onnx.load_from_string((tmp_path / "theirs.onnx").read_bytes())
        del content.graph.node[-1]
        start = start_of(tmp_path / "fewer.onnx", content.SerializeToString())
    messages = {
        "shapes": r"convolution 6 is \(9",
        "count": "5 convolutions for 6",
        "digest": "the config expects 0000",
        "missing": "does not exist",
        "package": "'no_such_package' is not installed",
    }
    with pytest.raises(ConfigError, match=messages[case]):
        load_start(encoder(STARTED), start.model_copy(update=changes))
