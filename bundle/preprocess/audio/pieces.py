"""A sound taken apart into equal parts of its time: one that is left out is silent."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from bundle.preprocess.audio.windows import Samples
from bundle.preprocess.base import Pieces

PARTS = 4  # of an encoder's window that are told apart: an encoder hears less than its window at a time


@dataclass(frozen=True, eq=False, slots=True)
class Silenced:
    """A sound that was decoded before, some of it silent.

    Attributes:
        samples: float32 [t], mono, of the encoder's rate.
        rate: in Hz.
    """

    samples: Samples
    rate: int

    @property
    def size(self) -> int:
        """Nothing is left to be decoded."""
        return 1 + len(self.samples) // 8

    @property
    def key(self) -> Hashable:
        """A digest of the samples, which no file is equal to."""
        return "silenced", hashlib.sha256(self.samples.tobytes()).digest()

    @property
    def now(self) -> None:
        """A sound means the same at any time."""
        return None

    def prompted(self, prompt: str) -> Silenced:
        """Itself: sounds have no prompts."""
        return self

    def to_json(self) -> Any:
        """Base64 of the sound as WAV."""
        file = io.BytesIO()
        soundfile.write(file, self.samples, self.rate, "FLOAT", format="WAV")
        return base64.b64encode(file.getvalue()).decode()


def pieces_of(samples: Samples, rate: int, *, first_s: float, window: int, most: int) -> Pieces:
    """At most so many parts, none longer than need be.

    Args:
        samples: float32 [t], t >= 1.
        rate: in Hz.
        first_s: where in the sound they begin.
        window: samples that the encoder hears at once.
        most: parts.
    """
    finest = max(1, PARTS * len(samples) // window)
    ends = [len(samples) * part // min(finest, most) for part in range(min(finest, most) + 1)]
    spans = [slice(start, stop) for start, stop in pairwise(ends)]
    places = [
        {name: round(first_s + at / rate, 3) for name, at in (("start_s", one.start), ("stop_s", one.stop))}
        for one in spans
    ]
    return Pieces("seconds", places, partial(_keep, samples, rate, spans), finest if finest > most else 0)


def _keep(samples: Samples, rate: int, spans: Sequence[slice], kept: npt.NDArray[np.bool_]) -> Silenced:
    left = samples.copy()
    for span, is_kept in zip(spans, kept, strict=True):
        if not is_kept:
            left[span] = 0
    return Silenced(left, rate)
