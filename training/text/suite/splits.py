"""Fixed parts of a set: who belongs where follows from the key alone, not from order, size or a generator.

So a set that grows or is sorted anew keeps its halves, equal keys never come apart, and nobody can draw
a luckier half.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

Split: TypeAlias = Literal["dev", "test"]

SALT = "encodery suite 1"  # changing it would let dev texts into the test half
WORD = re.compile(r"\w+")


def share(key: str, purpose: str) -> float:
    """A number in [0, 1) that is fixed for a key, and another one for another purpose."""
    digest = hashlib.sha256(f"{SALT}\n{purpose}\n{key}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def in_half(split: Split) -> Callable[[str], bool]:
    """Say whether a key is in the half of this name; every key is in one of the two."""
    return lambda key: (share(key, "halves") < 0.5) == (split == "dev")


def held_out(key: str, purpose: str, part: float = 0.2) -> bool:
    """Say whether a training text is kept back to choose or to measure something."""
    return share(key, purpose) < part


def in_fixed_order(keys: Iterable[str]) -> list[int]:
    """The places of the keys, in an order that follows from each key and from nothing else.

    Files are often sorted by label or list an answer where its question is; here a place says nothing.
    """
    drawn = [share(key, "order") for key in keys]
    return sorted(range(len(drawn)), key=drawn.__getitem__)


def plain(text: str) -> str:
    """The text without what people type differently: case, width, punctuation, spaces.

    A text of no word keeps its signs, so that ":)" is not ":(".
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(WORD.findall(folded)) or " ".join(folded.split())
