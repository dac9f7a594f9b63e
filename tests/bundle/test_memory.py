"""What is asked of the allocator has its effect, where it is glibc's."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FREED_MIB = 64
PROGRAM = f"""
import ctypes, os
from bundle import memory

def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
memory.keep_freed()
before = resident_mib()
blocks = [libc.malloc(8000) for _ in range({FREED_MIB} * 2**20 // 8000)]
for block in blocks:
    ctypes.memset(block, 1, 8000)
taken = resident_mib()
for block in blocks[:-1]:  # the last one keeps the heap from shrinking by itself
    libc.free(block)
freed = resident_mib()
memory.give_back()
print(taken - before, freed - before, resident_mib() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_was_freed_is_kept_until_it_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    )
    taken, freed, given_back = map(float, done.stdout.split())

    assert taken > 0.9 * FREED_MIB
    assert freed > 0.9 * FREED_MIB
    assert given_back < 0.2 * FREED_MIB
