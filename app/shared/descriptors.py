"""How many files and connections the system lets this process have open."""

from __future__ import annotations

import sys
from contextlib import suppress

import structlog

if sys.platform != "win32":
    import resource

WANTED = 65_536  # where the system allows more; each costs memory, and some systems allow a billion

log = structlog.get_logger("encodery")


def raise_limit_of_descriptors() -> None:
    """Take what the system allows: what it gives by itself is often 1,024, one for each connection."""
    if sys.platform == "win32":
        return
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if most == resource.RLIM_INFINITY else min(WANTED, most)
    if before != resource.RLIM_INFINITY and before < wanted:
        with suppress(ValueError, OSError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    log.debug("descriptors", limit=limit_of_descriptors(), before=before, most=most)


def limit_of_descriptors() -> int | None:
    """How many there may be; None where the system does not say."""
    if sys.platform == "win32":
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit
