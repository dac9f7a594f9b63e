"""When two entries of a vocabulary are the same: the one rule, of training and serving alike."""

from __future__ import annotations

from collections.abc import Sequence

from bundle.preprocess.features.schema import FIRST, MISSING, UNKNOWN


def normal(text: str, *, uppercase: bool = False) -> str:
    """An id, a category or an entry of a bag as vocabularies have it: without the blanks around it.

    An empty one is no entry, but a missing value.
    """
    text = text.strip()
    return text.upper() if uppercase else text


class Vocabulary:
    """The entries that training saw, each with its index.

    Args:
        entries: in their normal form, in order.
        uppercase: the case of letters means nothing.
        is_exact: entries are compared as they stand, as encoders of schema version 1 were trained to.

    Attributes:
        index: of entries in their normal form, which nearly all are; `find` takes any form.
    """

    __slots__ = ("_is_exact", "_uppercase", "index")

    def __init__(self, entries: Sequence[str], *, uppercase: bool = False, is_exact: bool = False) -> None:
        self.index = {entry: place for place, entry in enumerate(entries, start=FIRST)}
        self._uppercase, self._is_exact = uppercase, is_exact

    def __len__(self) -> int:
        return len(self.index)

    def find(self, text: str) -> int:
        """The index; UNKNOWN for an entry that is not there, MISSING for an empty one."""
        found = self.index.get(text)
        if found is not None:
            return found
        if self._is_exact:
            return UNKNOWN
        text = self.normal(text)
        return self.index.get(text, UNKNOWN) if text else MISSING

    def normal(self, text: str) -> str:
        """The form in which entries are compared."""
        return text if self._is_exact else normal(text, uppercase=self._uppercase)
