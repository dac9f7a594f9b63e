"""What `encodery serve` does first: set up the log, bind the socket, and decide how many processes serve.

One: this process becomes the `server`. Several: it becomes their `supervisor`, and each is a `worker`.
Loads no server before it knows that this process is to be one.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Sequence

import structlog

from app.generations import alone
from app.process.supervisor import supervise
from app.process.tls import tls_context
from app.settings import Settings, unknown_variables
from app.shared.descriptors import raise_limit_of_descriptors
from app.shared.listener import CannotServe, listening
from app.shared.log import set_up_log
from app.shared.unmet import Unmet
from bundle.shipped import is_shipped

log = structlog.get_logger("encodery")


def is_open(settings: Settings) -> bool:
    """Tell whether others than this machine's own programs may ask, without a key."""
    if settings.socket is not None:
        return False
    try:
        is_local = ipaddress.ip_address(settings.host).is_loopback
    except ValueError:  # a name
        is_local = settings.host == "localhost"
    return not is_local and settings.keys_file is None and settings.api_key is None


def serve(settings: Settings, first: Callable[[Settings], Sequence[Unmet]] = lambda settings: ()) -> int:
    """Run until SIGTERM or SIGINT, then finish what was accepted; returns the exit status.

    Args:
        settings: of the server.
        first: what is done before it starts, once there is a log; gives what could not be done.

    Raises:
        CannotServe: before the first request is taken.
    """
    try:
        is_for_people = set_up_log(settings.log_format, settings.log_level, audit_file=settings.audit_file)
    except OSError as error:
        raise CannotServe(f"ENCODERY_AUDIT_FILE={settings.audit_file}: {error.strerror}.") from None
    if is_for_people:
        log.info("settings", **settings.changed() | {"models_dir": str(settings.models_dir.resolve())})
    else:
        log.info("settings", **settings.values())
    if is_shipped(settings.models_dir):
        log.info(
            "no models directory here: serving what came with the package, which stays as it is",
            models_dir=str(settings.models_dir),
        )
    raise_limit_of_descriptors()
    for name, nearest in unknown_variables(os.environ).items():
        hint = {"nearest": nearest} if nearest else {}
        log.warning("unknown variable, ignored", name=name, **hint)
    if is_open(settings):
        log.warning(
            "OPEN to whoever reaches this address; set ENCODERY_KEYS_FILE or ENCODERY_API_KEY",
            host=settings.host,
        )
    tls_context(settings)  # before any process starts
    unmet = first(settings)
    with listening(settings) as listener:
        if settings.workers > 1:
            supervise(settings, listener, unmet)
            return 0
        with alone(settings) as controller:  # the child proves while this process imports
            from app.process.server import serve_on  # noqa: PLC0415  # a supervisor has no use for a server

            return serve_on(listener, controller.seen(), unmet=unmet)
