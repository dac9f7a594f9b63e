"""Fixed parts of a set: who belongs where follows from the key alone, not from order, size or a generator.

So a set that grows or is sorted anew keeps its halves, equal keys never come apart, and nobody can draw
a luckier half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from training.text.suite.task import Split

SALT = "encodery suite 1"  # changing it would let dev texts into the test half


def share(key: str, purpose: str) -> float:
    """A number in [0, 1) that is fixed for a key, and another one for another purpose."""
    digest = hashlib.sha256(f"{SALT}\n{purpose}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def in_half(split: Split) -> Callable[[str], bool]:
    """Say whether a key is in the half of this name; every key is in one of the two."""
    return lambda key: (share(key, "halves") < 0.5) == (split == "dev")


def held_out(key: str, purpose: str, part: float = 0.2) -> bool:
    """Say whether a training text is kept back to choose or to measure something."""
    return share(key, purpose) < part
