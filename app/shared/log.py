"""The log: one format for our lines and those of libraries. Never holds texts, features, vectors or keys.

Knows nothing of HTTP, so that a supervisor can log without loading a server.
"""

from __future__ import annotations

import logging
import os
import sys
from contextvars import ContextVar
from functools import partial
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict

from app.places import check_appendable
from app.shared.console import Console

AUDIT = "encodery.audit"  # the logger that `app.shared.audit` writes to
REQUEST_ID: ContextVar[str] = ContextVar("request_id")  # of the request that this task answers


def _with_request_id(logger: Any, name: str, event: EventDict) -> EventDict:
    """Add the request's id; structlog's own context variables take 6 us a request for it, not 1."""
    if (request_id := REQUEST_ID.get(None)) is not None:
        event["request_id"] = request_id
    return event


def _with_worker(worker: int, logger: Any, name: str, event: EventDict) -> EventDict:
    event["worker"] = worker
    return event


def set_up_log(
    log_format: str, level: str, worker: int | None = None, audit_file: Path | None = None
) -> bool:
    """One format for our lines and those of libraries, on standard error; tell whether it is for people.

    Args:
        log_format: "json", "console", or "auto": by whether a person looks.
        level: the least that is written; not of the audit, which is always written.
        worker: which of several processes this is; stands in every line.
        audit_file: gets the lines of the audit, as JSON, in place of standard error.

    Raises:
        OSError: that file cannot be written.
    """
    on_terminal = sys.stderr.isatty()
    as_json = log_format == "json" or (log_format == "auto" and not on_terminal)
    in_colour = on_terminal and not os.environ.get("NO_COLOR")
    shared: list[Any] = [
        *([] if worker is None else [partial(_with_worker, worker)]),
        _with_request_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True)
        if as_json or audit_file
        else structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),  # drops before formatting
        cache_logger_on_first_use=True,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    json: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]

    def formatter(finish: list[Any]) -> logging.Formatter:
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(json if as_json else [Console(in_colour=in_colour)]))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("encodery").setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # its warnings are what strangers send us
    audits = logging.getLogger(AUDIT)
    audits.setLevel(logging.INFO)
    if audit_file is not None:
        check_appendable(audit_file)
        file = WatchedFileHandler(audit_file)  # opens it again when it was rotated away
        file.setFormatter(formatter(json))
        audits.handlers, audits.propagate = [file], False
    return not as_json
