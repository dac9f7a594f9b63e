"""Bounds how much longer a tokenizer's normaliser may make a text.

Some characters stand for many: NFKC, which multilingual tokenizers apply, makes eighteen of U+FDFA. A text of
nothing else would take eighteen times the time and memory that its length allows for.
"""

from __future__ import annotations

import string
from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers.normalizers import Normalizer

from bundle.errors import InputError

MOST_GROWTH, SLACK = 3, 1000  # times, as BERT's blanks around ideographs do; and characters on top of that
_PROBES = ("\ufdfa", "\ufb03", "\u3300", "é", "漢", "가")


class Growth:
    """Knows whether the normaliser lengthens texts, and refuses those that it lengthens too much."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._of_ascii = _grows(tokenizer.normalizer, string.printable)
        grows = self._of_ascii or _grows(tokenizer.normalizer, _PROBES)
        self._normalizer = tokenizer.normalizer if grows else None

    @property
    def is_possible(self) -> bool:
        """Whether there is anything to check."""
        return self._normalizer is not None

    def check(self, index: int, text: str) -> None:
        """Raise InputError for a text, at that place, that becomes too long."""
        if self._normalizer is None or len(text) * MOST_GROWTH < SLACK:
            return
        if text.isascii() and not self._of_ascii:
            return
        length, most = len(self._normalizer.normalize_str(text)), MOST_GROWTH * len(text) + SLACK
        if length > most:
            raise InputError(
                index,
                "too_long",
                f"the tokenizer makes {length} characters of these {len(text)}, the limit is {most}; send "
                "fewer characters that stand for several, such as ligatures",
            )


def _grows(normalizer: Normalizer | None, probes: Iterable[str]) -> bool:
    return normalizer is not None and any(
        len(normalizer.normalize_str(probe)) > MOST_GROWTH for probe in probes
    )
