"""Fetching what ENCODERY_PULL names, before the server starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from bundle import BundleError
from bundle.signatures import TrustedKeys
from encodery.transfer.places import place_of
from encodery.transfer.pull import Wanted, pull

log = structlog.get_logger("encodery")


def at_start(
    wanted: Sequence[tuple[str, str]], models_dir: Path, trusted: TrustedKeys | None = None
) -> list[str]:
    """Fetch each, a place and a name, into the directory; gives a sentence for each that could not be had.

    What cannot be had is told, and the server goes on with what is there.
    Whether that is enough is readiness' to say: a place that is away for an hour must not keep a server down
    that has last week's models.
    """
    unmet = []
    for address, name in wanted:
        try:
            done = pull(place_of(address), Wanted.parsed(name), models_dir, trusted=trusted)
        except (BundleError, OSError) as error:
            log.error("pull failed", place=address, model=name, reason=str(error))
            unmet.append(f"{name}: {error}")
        else:
            log.info("pulled", place=address, models=[f"{one.name}/{one.version}" for one in done])
    return unmet
