"""The audit: who changed what, and who was refused; a JSON line each, wherever the log's level stands.

    audit("keys.read", "file of keys", added=["search"], removed=[], changed=[])

Lines go to the logger `encodery.audit`: to the log, or to a file of their own where a setting names one. Like
the log, they never hold texts, features, vectors or keys.
"""

from __future__ import annotations

import logging

import structlog

from app.shared.log import AUDIT

_log = structlog.wrap_logger(
    logging.getLogger(AUDIT),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=False,  # it is rare, and the log may be set up after the first line
)


def audit(action: str, caller: str, **facts: object) -> None:
    """Write one line.

    Args:
        action: what was done, such as `keys.read`; a stable word for programs.
        caller: who did it: the name of a key, a signal, a file; empty for a stranger.
        facts: what there is to tell of it.
    """
    _log.info(action, logger=AUDIT, caller=caller, **facts)
