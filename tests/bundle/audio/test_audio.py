"""Sounds: every form that is taken gives the samples that it should, and what is told of them is so."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import sounds
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import InputError, ManifestError, publish
from bundle.errors import GoldenError
from bundle.golden import Golden
from bundle.preprocess.audio import AudioFile, AudioPreprocessor, Sound, decode
from bundle.preprocess.audio.windows import span, windows_of

PCM_STEP = 1 / 32_768
LOSSY = 0.05  # of 1: what MP3 and Vorbis may change of a tone
MOST = 60 * sounds.RATE
FILE = AudioFile(sample_rate=sounds.RATE, window=800, hop=400, lead=80)
PREPROCESSOR = AudioPreprocessor(FILE.to_bytes(), tiny.AUDIO_MOST)


def test_lossless_forms_give_the_samples_themselves() -> None:
    tone = sounds.tone()
    for form in ("WAV", "FLAC"):
        found = decode(sounds.file_of(tone, form), sounds.RATE, most=MOST)
        np.testing.assert_allclose(found.samples, tone, atol=PCM_STEP)
        assert (found.rate, found.is_antiphase, found.is_incomplete) == (sounds.RATE, False, False)
        assert found.seconds == pytest.approx(0.1)


@pytest.mark.parametrize("form", ["OGG", "MP3"])
def test_lossy_forms_give_nearly_the_samples(form: str) -> None:
    tone = sounds.tone(1.0)
    found = decode(sounds.file_of(tone, form), sounds.RATE, most=MOST)
    middle = slice(2000, 6000)
    assert np.abs(np.correlate(found.samples[middle], tone[middle], "same")).max() > 0.9 * 0.125 * 4000
    assert found.samples[middle].std() == pytest.approx(tone[middle].std(), abs=LOSSY)


def test_a_tone_that_a_lower_rate_cannot_hold_is_gone() -> None:
    """Interpolation would leave it at another pitch, half as loud."""
    high = sounds.file_of(sounds.tone(1.0, 10_000.0, 44_100), rate=44_100)
    found = decode(high, sounds.RATE, most=MOST).samples
    assert np.abs(found[200:-200]).max() < 1e-3


def test_a_tone_keeps_its_pitch_and_length_at_another_rate() -> None:
    low = sounds.file_of(sounds.tone(1.0, 440.0, 44_100), rate=44_100)
    found = decode(low, sounds.RATE, most=MOST).samples
    assert len(found) == pytest.approx(sounds.RATE, abs=2)
    np.testing.assert_allclose(found[200:7800], sounds.tone(1.0)[200:7800], atol=1e-3)


def test_stereo_is_the_mean_and_antiphase_is_told() -> None:
    tone = sounds.tone()
    same = decode(sounds.file_of(np.stack([tone, tone], 1)), sounds.RATE, most=MOST)
    opposite = decode(sounds.file_of(np.stack([tone, -tone], 1)), sounds.RATE, most=MOST)
    np.testing.assert_allclose(same.samples, tone, atol=PCM_STEP)
    assert (same.is_antiphase, opposite.is_antiphase) == (False, True)


@pytest.mark.parametrize("form", ["WAV", "OGG", "MP3"])
def test_a_cut_file_is_told(form: str) -> None:
    content = sounds.file_of(sounds.noise(0, 20.0), form)
    assert decode(content[: len(content) // 2], sounds.RATE, most=MOST).is_incomplete
    assert not decode(content, sounds.RATE, most=MOST).is_incomplete


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (sounds.file_of(sounds.noise(0, 2.0), "FLAC")[:6000], "invalid_audio"),
        (sounds.flac_claiming((1 << 36) - 1), "invalid_audio"),
        (sounds.flac_claiming(0), "invalid_audio"),
        (sounds.file_of(np.array([0.1, np.nan]), subtype="FLOAT"), "not_finite"),
        (sounds.file_of(np.array([0.1, np.inf]), subtype="FLOAT"), "not_finite"),
        (sounds.file_of(np.array([0.1, 20_000.0]), subtype="FLOAT"), "out_of_range"),
        (sounds.file_of(np.zeros(0, np.float32)), "empty_input"),
        (sounds.file_of(np.zeros((80, 9), np.float32)), "invalid_audio"),
        (sounds.file_of(sounds.tone(), rate=1_000), "invalid_audio"),
        (sounds.file_of(sounds.tone(), "AIFF"), "invalid_audio"),
        (sounds.file_of(sounds.tone(), subtype="GSM610"), "invalid_audio"),
        (b"", "empty_input"),
        (b"plain text", "invalid_audio"),
    ],
    ids=count(),  # not by content: a WAV of floats has the second it was made in
)
def test_what_cannot_be_encoded_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        PREPROCESSOR.prepare([sounds.sound_of(sounds.tone()), Sound.from_bytes(content)])
    assert caught.value.code == code
    assert "sf" not in caught.value.reason


def test_an_hour_of_silence_is_read_no_further_than_it_is_wanted() -> None:
    hour = sounds.file_of(np.zeros(3600 * sounds.RATE, np.float32), "FLAC")
    assert len(hour) < 200_000
    found = decode(hour, sounds.RATE, most=1000)
    assert (len(found.samples), found.seconds) == (1000, 3600.0)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG"])
def test_of_a_long_sound_the_end_or_the_start_is_dropped(form: str) -> None:
    sound = sounds.sound_of(np.concatenate([sounds.noise(0, 1.0), np.zeros(8000, np.float32)]), form)
    with pytest.raises(InputError, match=r"2\.0 seconds, the limit is 0\.3"):
        PREPROCESSOR.prepare([sound])
    (first,), (last,) = PREPROCESSOR.prepare([sound], "end"), PREPROCESSOR.prepare([sound], "start")
    assert first.arrays["windows"][0, 80:].std() > 0.1
    assert np.abs(last.arrays["windows"]).max() < 0.01
    for one in (first, last):
        (cut,) = one.facts.truncated
        assert (cut.field, cut.length, cut.unit) == ("audio", 2, "seconds")
        assert one.facts.tokens == len(one.arrays["windows"]) == tiny.AUDIO_MOST


def test_facts_are_told() -> None:
    tone = sounds.tone(rate=16_000)
    (one,) = PREPROCESSOR.prepare([sounds.sound_of(np.stack([tone, -tone], 1), rate=16_000)])
    assert one.facts.warnings == {"resampled_from": 16_000, "antiphase": True}


@given(length=st.integers(1, 5000), window=st.integers(1, 900), share=st.floats(0.01, 1))
def test_every_sample_is_in_a_window_and_no_window_is_beyond_the_last(
    length: int, window: int, share: float
) -> None:
    hop = max(1, int(window * share))
    samples = np.arange(1, length + 1, dtype=np.float32)
    found = windows_of(samples, window, hop)
    assert set(found.ravel()) - {0.0} == set(samples)
    assert span(len(found) - 1, window, hop) < length or len(found) == 1


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0.001, 0.33)), min_size=1, max_size=6))
def test_windows_follow_from_the_sound_alone(made: list[tuple[int, float]]) -> None:
    """Whatever stands beside it, and in whatever order: nothing is padded to the others' length."""
    inputs = [sounds.sound_of(sounds.noise(seed, seconds)) for seed, seconds in made]
    together = PREPROCESSOR.prepare(inputs)
    arrays = PREPROCESSOR.collate(together)
    np.testing.assert_allclose(arrays["weights"].sum(1), 1.0, rtol=1e-6)
    start = 0
    for row, one in enumerate(inputs):
        (alone,) = PREPROCESSOR.prepare([one])
        own = arrays["weights"][row] > 0
        np.testing.assert_array_equal(arrays["windows"][own], alone.arrays["windows"])
        assert np.flatnonzero(own)[0] == start
        start += own.sum()


@settings(max_examples=200, deadline=None)
@given(
    form=st.sampled_from(["WAV", "FLAC", "OGG", "MP3"]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    end=st.floats(0, 1),
)
def test_damaged_files_are_a_vector_or_an_input_error(
    form: str, changes: list[tuple[float, int]], end: float
) -> None:
    content = bytearray(FUZZED[form])
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    try:
        (one,) = PREPROCESSOR.prepare([Sound(bytes(content[: 1 + int(end * len(content))]))], "end")
    except InputError:
        return
    assert np.isfinite(one.arrays["windows"]).all()
    assert 1 <= len(one.arrays["windows"]) <= tiny.AUDIO_MOST


FUZZED = {form: sounds.file_of(sounds.noise(3, 0.4), form) for form in ("WAV", "FLAC", "OGG", "MP3")}


@pytest.mark.parametrize(
    "changes", [{"hop": 801}, {"lead": 800}, {"sample_rate": 1}, {"window": 0}, {"extra": 1}]
)
def test_a_file_of_windows_that_cannot_be_is_refused(changes: dict[str, int]) -> None:
    content = json.dumps(FILE.model_dump() | changes).encode()
    with pytest.raises(ManifestError, match=r"audio\.json"):
        AudioPreprocessor(content, 6)


def test_another_resampling_than_in_training_is_refused(tmp_path: Path) -> None:
    draft = tiny.audio_draft()
    golden = Golden.from_bytes(draft.golden)
    assert {name for one in golden.arrays for name in one} == {"windows"}
    off = [{"windows": one["windows"] * np.float32(1.01)} for one in golden.arrays]
    with pytest.raises(GoldenError, match="prepared otherwise than in training"):
        publish(tmp_path, [replace(draft, golden=replace(golden, arrays=off).to_bytes())])
