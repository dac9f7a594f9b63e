"""The measurement of pictures and sounds: its files, its peer's network, and what its table says."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
from PIL import Image as Pillow

from bench import media
from bench.media_files import jpegs, sounds
from bundle import Store


def test_files_are_the_same_in_every_run_and_differ_from_each_other() -> None:
    assert jpegs(2, 64, 48) == jpegs(2, 64, 48)
    assert len(set(jpegs(3, 64, 48))) == len(set(sounds(3, 0.1))) == 3


def test_files_are_what_they_are_called() -> None:
    [picture], [sound] = jpegs(1, 200, 100), sounds(1, 0.5, rate=8_000)

    assert Pillow.open(io.BytesIO(picture)).size == (200, 100)
    assert 0.1 < len(picture) / (200 * 100) < 0.5  # bytes a pixel, as photos of this quality have
    assert soundfile.info(io.BytesIO(sound)).duration == 0.5


def test_the_network_for_fastembed_gives_the_vectors_of_the_bundle(tmp_path: Path) -> None:
    directory = media._for_fastembed(tmp_path)
    encoder = Store(media.ROOT / "models").load("image")
    [prepared] = encoder.prepare(encoder.read(jpegs(1, 128, 128)))
    pixels = prepared.arrays["pixels"].transpose(2, 0, 1)[None].astype(np.float32) / 255

    session = onnxruntime.InferenceSession(directory / "model.onnx")
    [found] = session.run(None, {"pixel_values": pixels})

    np.testing.assert_allclose(found, encoder.run([prepared]), atol=1e-5)


def test_a_share_is_of_the_ceiling_of_the_same_round() -> None:
    """Rounds of 100 and 200 at the ceiling, 90 and 100 behind the server: 0.9 and 0.5."""
    latency = {"latency_ms": {"p50": 1.0, "p99": 2.0}}
    ceilings = [{"round": number, "per_cpu_s": 100.0 * (1 + number)} for number in range(2)]
    runs = [
        {"round": number, "per_s": 50.0, "per_cpu_s": [90.0, 100.0][number]} | latency for number in range(2)
    ]

    assert media._row(runs, ceilings) == "50 | 95 | 0.70 | 1.0 | 2.0"
