"""The kind `audio`: how sounds stand in JSON, in files and in tensors, and what bounds them."""

from __future__ import annotations

import math

from bundle.preprocess.audio.input import MEDIA, MEDIA_TYPES, Sound
from bundle.preprocess.audio.preprocessor import AudioFacts, AudioPreprocessor
from bundle.preprocess.base import Truncate
from bundle.preprocess.kind import Kind, Limit, LimitSetting
from bundle.preprocess.media import BASE64_BYTES

GOLDEN_TOLERANCE = 1e-4  # of 1: resamplers may round otherwise; another one, or another rate, is far off


def _bytes(one: Sound) -> int:
    return len(one.content)


def _seconds(one: Sound) -> int:
    return one.most_s if one.most_s is not None else math.ceil(one.seconds)


def _cut(one: Sound, most: int, truncate: Truncate) -> Sound:
    return one.cut(most, from_start=truncate == "start")


AUDIO = Kind(
    name="audio",
    noun=MEDIA.noun,
    plural=MEDIA.plural,
    json_schema=MEDIA.json_schema(dict.fromkeys(MEDIA_TYPES)),
    examples=(),
    limits=(
        Limit(
            "bytes",
            _bytes,
            LimitSetting("max_audio_bytes", 4 << 20, "largest sound, in bytes of its file"),
            json_bytes=BASE64_BYTES,
        ),
        Limit(
            "seconds",
            _seconds,
            LimitSetting("max_audio_seconds", 60, "longest sound, in seconds"),
            LimitSetting("max_audio_seconds_per_request", 600, "most seconds of all sounds of a request"),
            json_bytes=None,
            cut=_cut,
        ),
    ),
    columns=MEDIA.columns,
    tensors=MEDIA.tensors,
    from_tensors=MEDIA.from_tensors,
    file="audio.json",
    version=1,
    load=AudioPreprocessor,
    facts=AudioFacts,
    media_types=dict.fromkeys(MEDIA_TYPES, Sound.from_bytes),
    golden_tolerance=GOLDEN_TOLERANCE,
)
