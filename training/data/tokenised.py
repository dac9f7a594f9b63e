"""A whole corpus through the bundle's own preprocessing, once, before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bundle.errors import InputError
from bundle.inputs import Text
from bundle.preprocess import Prepared, Preprocessor

CHUNK = 2048  # texts per call: the tokenizer spreads them over its threads


@dataclass(frozen=True)
class Tokenised:
    """Texts that have tokens.

    Attributes:
        texts: those that were kept, in order.
        prepared: one per kept text.
        kept: their numbers in the original list, ascending (n,).
    """

    texts: list[str]
    prepared: list[Prepared]
    kept: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each kept text. (n,)."""
        return np.array([one.cost for one in self.prepared], dtype=np.int64)

    def at(self, positions: npt.NDArray[np.int64]) -> list[Prepared]:
        """By position among the kept texts."""
        return [self.prepared[position] for position in positions]

    def of(self, numbers: npt.NDArray[np.int64]) -> list[Prepared]:
        """By number in the original list."""
        return self.at(np.searchsorted(self.kept, numbers))

    def lengths_of(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Tokens by number in the original list."""
        return self.lengths[np.searchsorted(self.kept, numbers)]


def tokenise(preprocessor: Preprocessor, texts: Sequence[str]) -> Tokenised:
    """Prepare every text, cut at the end where too long; texts without a token are left out."""
    prepared: list[Prepared] = []
    kept: list[int] = []
    for start in range(0, len(texts), CHUNK):
        numbers = list(range(start, min(start + CHUNK, len(texts))))
        while numbers:
            try:
                prepared += preprocessor.prepare([Text(texts[number]) for number in numbers], "end")
                break
            except InputError as error:
                del numbers[error.index]
        kept += numbers
    return Tokenised([texts[number] for number in kept], prepared, np.array(kept, dtype=np.int64))
