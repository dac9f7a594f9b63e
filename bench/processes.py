"""Reads what processes use, CPU time and memory, from /proc. A process that has ended uses nothing."""

from __future__ import annotations

import os
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def tree_of(pid: int) -> list[int]:
    """Return the process and all under it."""
    found = [pid]
    for one in found:
        try:
            children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
        except OSError:
            continue
        found += map(int, children)
    return found


def cpu_s(pid: int) -> float:
    """Return the CPU time of the process so far; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident_mib(pid: int) -> float:
    """Return the resident memory of the process."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mib(pid: int) -> int:
    """Return the largest memory that the process ever had."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)


def private_mib(pid: int) -> float:
    """Return the memory that would be free if the process ended."""
    return sum(_smaps_mib(pid, f"Private_{kind}") for kind in ("Clean", "Dirty"))


def proportional_mib(pid: int) -> float:
    """Return the memory of a process, with its share of what it has together with others."""
    return _smaps_mib(pid, "Pss")


def _smaps_mib(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)
