"""What a run of sounds learns from: samples, labels and captions.

tables, folders -> `training.data.media` -> the bundle's own decoding -> Sounds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bundle.errors import InputError
from bundle.preprocess.audio import decode
from bundle.progress import Progress
from training.console import say
from training.data.media import MediaExample
from training.data.stream import RowNumbers
from training.errors import ConfigError

NONE = -1  # the number of a label or a caption that a sound has not


@dataclass(frozen=True)
class Sounds:
    """Sounds in memory.

    Attributes:
        samples: of each, float32 (s,), of the encoder's rate, cut to what it takes.
        labels: the number of each one's label, int64 (n,); NONE without one.
        captions: of each one's first caption, the same.
        origins: the place of each among the examples, int64 (n,).
        label_names: by number.
        caption_texts: by number, no text twice.
    """

    samples: Sequence[npt.NDArray[np.float32]]
    labels: RowNumbers
    captions: RowNumbers
    origins: RowNumbers
    label_names: Sequence[str]
    caption_texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.samples)

    def at(self, rows: RowNumbers) -> Sounds:
        """Some of them; the numbers of labels and captions stay as they are."""
        samples = [self.samples[row] for row in rows]
        numbers = self.labels[rows], self.captions[rows], self.origins[rows]
        return Sounds(samples, *numbers, self.label_names, self.caption_texts)


def read_sounds(examples: Sequence[MediaExample], rate: int, *, most: int, skip: bool) -> Sounds:
    """Decode all of them.

    Args:
        examples: files, with what is known of each.
        rate: of the samples, in Hz.
        most: samples that are kept of a sound.
        skip: leave out what cannot be decoded, and say how many those are.

    Raises:
        ConfigError: a sound cannot be decoded, and that is not to be skipped; or none can.
    """
    samples, origins = list[npt.NDArray[np.float32]](), list[int]()
    with Progress(total=len(examples), label="decode", unit="sounds") as progress:
        for place, one in enumerate(examples):
            progress.advance(1)
            try:
                samples.append(decode(one.content(), rate, most=most).samples)
            except InputError as error:
                if not skip:
                    raise ConfigError(f"{one.place}: {error.reason}") from None
                continue
            origins.append(place)
    if not samples:
        raise ConfigError("there is no sound that can be decoded")
    kept = [examples[place] for place in origins]
    if len(kept) < len(examples):
        say(f"left out {len(examples) - len(kept):,} of {len(examples):,} sounds, which cannot be decoded")
    labels, names = _numbered([one.label for one in kept])
    captions, texts = _numbered([one.captions[0] if one.captions else None for one in kept])
    return Sounds(samples, labels, captions, np.array(origins), names, texts)


def _numbered(values: Sequence[str | None]) -> tuple[RowNumbers, list[str]]:
    names = sorted({one for one in values if one is not None})
    number_of = {name: number for number, name in enumerate(names)}
    return np.array([NONE if one is None else number_of[one] for one in values], dtype=np.int64), names
