"""A whole corpus through the bundle's own preprocessing, once, before training.

Kept as one array of token ids instead of one object per text: a million texts of 15 tokens take
80 MB so, and 660 MB as `Prepared`, which are made when a batch asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.errors import InputError
from bundle.preprocess import Facts, Prepared, Preprocessor
from bundle.preprocess.text import Text

CHUNK = 2048  # texts per call: the tokenizer spreads them over its threads
IDS = "input_ids"


@dataclass(frozen=True)
class Tokenised:
    """Texts that have tokens.

    Attributes:
        ids: the tokens of all kept texts, one after the other, int32 (tokens,).
        ends: where each kept text ends in `ids`, (n,).
        kept: their numbers in the original list, ascending (n,).
    """

    ids: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int64]
    kept: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each kept text. (n,)."""
        return np.diff(self.ends, prepend=0)

    @cached_property
    def keys(self) -> npt.NDArray[np.uint64]:
        """A number for each kept text: the same for the same tokens, in any `Tokenised`. (n,).

        The sum of a 64-bit hash of every token with its place: of a million texts, two that differ share a
        number with a chance of 3e-8.
        """
        if not len(self):
            return np.zeros(0, dtype=np.uint64)
        starts = self.ends - self.lengths
        places = np.arange(len(self.ids)) - np.repeat(starts, self.lengths)
        tokens = self.ids.astype(np.uint64) << np.uint64(32) | (places + 1).astype(np.uint64)
        return np.add.reduceat(_hashed(tokens), starts)

    def keys_of(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Find the keys of texts by number in the original list."""
        return self.keys[np.searchsorted(self.kept, numbers)]

    def at(self, positions: npt.NDArray[np.int64]) -> list[Prepared]:
        """Find texts by position among the kept ones."""
        ends = self.ends[positions]
        starts = ends - self.lengths_at(positions)
        return [
            Prepared({IDS: self.ids[start:end].astype(np.int64)}, end - start, Facts(tokens=end - start))
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]

    def of(self, numbers: npt.NDArray[np.int64]) -> list[Prepared]:
        """Find texts by number in the original list."""
        return self.at(np.searchsorted(self.kept, numbers))

    def lengths_at(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Tokens by position among the kept texts."""
        before = np.where(positions > 0, self.ends[positions - 1], 0)
        return np.asarray(self.ends[positions] - before, dtype=np.int64)

    def lengths_of(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Tokens by number in the original list."""
        return self.lengths_at(np.searchsorted(self.kept, numbers))


def tokenise(preprocessor: Preprocessor, texts: Sequence[str]) -> Tokenised:
    """Prepare every text, cut at the end where too long; texts without a token are left out."""
    parts: list[npt.NDArray[np.int32]] = [np.zeros(0, np.int32)]
    lengths: list[int] = []
    kept: list[int] = []
    for start in range(0, len(texts), CHUNK):
        found = list(_prepared(preprocessor, texts[start : start + CHUNK]))
        rows: list[Any] = [one.arrays[IDS] for _, one in found]
        parts.append(np.concatenate(rows or parts[:1]).astype(np.int32))
        lengths += map(len, rows)
        kept += (start + offset for offset, _ in found)
    return Tokenised(
        np.concatenate(parts), np.cumsum(lengths, dtype=np.int64), np.array(kept, dtype=np.int64)
    )


def _hashed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser, one to one. Source: Steele et al. 2014, doi 10.1145/2660193.2660195."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return numbers ^ (numbers >> np.uint64(31))


def _prepared(preprocessor: Preprocessor, texts: Sequence[str]) -> Iterator[tuple[int, Prepared]]:
    """Offset and tokens of the texts that have some: all at once, or one by one where one has none."""
    inputs = [Text(text) for text in texts]
    try:
        yield from enumerate(preprocessor.prepare(inputs, "end"))
        return
    except InputError:
        pass
    for offset, one in enumerate(inputs):
        try:
            yield offset, preprocessor.prepare([one], "end")[0]
        except InputError:
            continue
