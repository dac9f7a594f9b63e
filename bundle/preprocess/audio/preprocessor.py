"""Sounds as a graph's inputs: the windows of all sounds of a batch, and how each sound is their mean."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bundle.errors import InputError, ManifestError
from bundle.inputs import Input
from bundle.preprocess.audio.decoding import RATES, Decoded, decode
from bundle.preprocess.audio.input import MEDIA, MEDIA_TYPES, Sound
from bundle.preprocess.audio.pieces import Silenced, pieces_of
from bundle.preprocess.audio.windows import Samples, means_of, span, windows_of
from bundle.preprocess.base import Arrays, Layout, Pieces, Prepared, Truncate
from bundle.preprocess.facts import Facts, Truncation, warning_field
from bundle.words import first_error

WINDOWS, WEIGHTS = "windows", "weights"
COST = 64  # of a window, in tokens: 2 to 3 ms, so that the batches that are tried have 1 to 32 windows


class AudioFile(BaseModel):
    """The content of audio.json.

    Attributes:
        sample_rate: that the encoder hears at, in Hz.
        window: samples of a window.
        hop: samples from the start of a window to that of the next.
        lead: samples of silence before a sound, so that its beginning is heard as after a pause.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: Literal[1] = 1
    sample_rate: int = Field(ge=RATES.start, lt=RATES.stop)
    window: int = Field(ge=1, le=1 << 20)
    hop: int = Field(ge=1)
    lead: int = Field(ge=0, le=1 << 20)

    @model_validator(mode="after")
    def _leaves_nothing_out(self) -> Self:
        if self.hop > self.window:
            raise ValueError("hop is longer than window: some samples would be in none")
        if self.lead >= self.window:
            raise ValueError("lead is as long as a window: some would be silence alone")
        return self

    def to_bytes(self) -> bytes:
        """The file as written."""
        return (self.model_dump_json(indent=1) + "\n").encode()


@dataclass(frozen=True, slots=True)
class AudioFacts(Facts):
    """What the caller is told about one sound; `tokens` are windows."""

    resampled_from: int = warning_field(
        "the sound's own rate in Hz, where it was another than the encoder's", 0
    )
    antiphase: bool = warning_field(
        "the channels cancel each other out, and little is left of their mean: send one of them", False
    )
    incomplete: bool = warning_field("the file ends before its end; what is there of it was encoded", False)


class AudioPreprocessor:
    """Windows of one length.

    Args:
        content: of audio.json.
        max_length: most windows that are encoded of a sound.
        languages: nothing to this kind.

    Raises:
        ManifestError: the file is not as it should be.
    """

    input_names = (WINDOWS, WEIGHTS)

    def __init__(self, content: bytes, max_length: int, languages: Sequence[str] = ()) -> None:
        try:
            self.file = AudioFile.model_validate_json(content)
        except ValidationError as error:
            raise ManifestError(f"audio.json: {first_error(error)}") from None
        self.max_length = max_length
        self.layouts = (Layout(self.input_names, self.collate, is_packed=True),)

    @property
    def most_s(self) -> float:
        """Seconds that are encoded of a sound at most."""
        file = self.file
        return (span(self.max_length, file.window, file.hop) - file.lead) / file.sample_rate

    def prepare(self, inputs: Sequence[Input], truncate: Truncate = "none") -> list[Prepared]:
        found = list[Prepared]()
        for index, one in enumerate(inputs):
            try:
                found.append(self._prepare_one(one, truncate))
            except InputError as error:
                raise error.at(index) from None
        return found

    def _prepare_one(self, one: Input, truncate: Truncate) -> Prepared:
        if isinstance(one, Silenced):
            windows = self.windows(one.samples)
            return Prepared({WINDOWS: windows}, COST * len(windows), AudioFacts(tokens=len(windows)))
        if not isinstance(one, Sound):
            raise InputError(0, "wrong_kind", "this model takes sounds")
        limit_s = self._limit_s(one)
        decoded = self._decoded(one, truncate)
        is_longer = decoded.seconds > limit_s
        if is_longer and truncate == "none":
            raise InputError(
                0,
                "too_long",
                f"{decoded.seconds:.1f} seconds, the limit is {limit_s:.1f}; shorten it or send "
                '"truncate":"end"',
            )
        windows = self.windows(decoded.samples)
        facts = self._facts(decoded, len(windows), limit_s if is_longer else None)
        return Prepared({WINDOWS: windows}, cost=COST * len(windows), facts=facts)

    def _limit_s(self, one: Sound) -> float:
        """Seconds of it that are encoded at most."""
        return self.most_s if one.most_s is None else min(self.most_s, float(one.most_s))

    def _decoded(self, one: Sound, truncate: Truncate) -> Decoded:
        rate, from_start = self.file.sample_rate, one.from_start or truncate == "start"
        return decode(one.content, rate, most=int(self._limit_s(one) * rate), from_start=from_start)

    def pieces(self, item: Input, most: int, truncate: Truncate = "none") -> Pieces:
        """Equal parts of its time; what is left out is silent. Raises InputError."""
        if not isinstance(item, Sound):
            raise InputError(0, "wrong_kind", "this model takes sounds")
        decoded, rate = self._decoded(item, truncate), self.file.sample_rate
        is_from_start = item.from_start or truncate == "start"
        first_s = max(0.0, decoded.seconds - len(decoded.samples) / rate) if is_from_start else 0.0
        return pieces_of(decoded.samples, rate, first_s=first_s, window=self.file.window, most=most)

    def windows(self, samples: Samples) -> Samples:
        """The windows of a decoded sound: float32 [t] -> float32 [w, window]."""
        silence = np.zeros(self.file.lead, dtype=np.float32)
        return windows_of(np.concatenate([silence, samples]), self.file.window, self.file.hop)

    def _facts(self, decoded: Decoded, windows: int, cut_to_s: float | None) -> AudioFacts:
        truncated: tuple[Truncation, ...] = ()
        if cut_to_s is not None:
            truncated = (Truncation(MEDIA.field, round(decoded.seconds), round(cut_to_s), "seconds"),)
        return AudioFacts(
            tokens=windows,
            truncated=truncated,
            resampled_from=decoded.rate if decoded.rate != self.file.sample_rate else 0,
            antiphase=decoded.is_antiphase,
            incomplete=decoded.is_incomplete,
        )

    def collate(self, batch: Sequence[Prepared]) -> Arrays:
        """The windows of all, float32 [w, window], and the mean of each sound's own, float32 [n, w]."""
        rows = [one.arrays[WINDOWS] for one in batch]
        return {WINDOWS: np.concatenate(rows), WEIGHTS: means_of([len(row) for row in rows])}

    def schema(self) -> dict[str, Any]:
        found = MEDIA.json_schema(dict.fromkeys(MEDIA_TYPES))
        return found | {"description": f"A sound; {self.most_s:.1f} seconds of it are read at most."}

    def from_json(self, value: Any, now: float | None = None) -> Input:
        return Sound.from_json(value)

    def key(self, item: Input) -> Hashable:
        return item.key

    def extremes(self) -> Sequence[Prepared]:
        return ()
