"""What a process that encodes asks of the C library's allocator; nothing where that is not glibc.

onnxruntime's own arena is switched off (`bundle.sessions`), because it never gives back what loading a graph
took: three times the memory of all the rest. glibc alone hands large blocks back to the system after every
forward pass and takes them anew for the next one, which costs large batches 10 to 20 %; told to keep
them, it is as fast as the arena. Process-wide, so a program calls this, and loading a bundle does not.
"""

from __future__ import annotations

import ctypes
import gc
from functools import lru_cache
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 64 << 20  # bytes that stay at hand when they are freed
LARGEST = 32 << 20  # a larger block comes from the system and goes back there; glibc allows no more


def keep_freed() -> None:
    """Let what a forward pass frees be there for the next one."""
    if (libc := _glibc()) is not None:
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)


def give_back() -> None:
    """Return to the system what is free now, after loading."""
    gc.collect()
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@lru_cache(maxsize=1)  # a library is some objects that refer to each other
def _glibc() -> Any | None:
    try:
        libc = ctypes.CDLL(None)
        return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None
    except (OSError, TypeError):  # Windows has no library without a name
        return None
