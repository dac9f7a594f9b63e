"""How many cores this process may use: affinity, and the container's CPU quota.

`os.cpu_count()` counts the machine's cores; with a quota of one, threads on all of them only throttle.
"""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores(cgroup: Path = CGROUP, own_cgroup: Path = OWN_CGROUP) -> int:
    """Whole cores, rounded down, at least one."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    for directory in _directories(cgroup, own_cgroup):
        cores = min(cores, _quota(directory / "cpu.max", cores))
    return max(1, int(cores))


def _directories(cgroup: Path, own_cgroup: Path) -> list[Path]:
    """The process's control group and those above it (cgroup v2)."""
    try:
        lines = own_cgroup.read_text().splitlines()
    except OSError:
        return []
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    path = cgroup / own.strip("/")
    return [path, *path.parents][: len(path.relative_to(cgroup).parts) + 1]


def _quota(file: Path, default: float) -> float:
    """cpu.max holds "quota period" in microseconds, or "max period"."""
    try:
        quota, period = file.read_text().split()
    except (OSError, ValueError):
        return default
    return default if quota == "max" else int(quota) / int(period)
