"""The socket that the server listens on. Light: it loads no server."""

from __future__ import annotations

import socket

from app.settings import Settings


class CannotServe(Exception):
    """No directory of models, no model that can be loaded, or no address to listen on."""


def bind(settings: Settings) -> socket.socket:
    """A socket with its address, not yet listening: until all is loaded, connections are refused."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.listen_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise CannotServe(
            f"Cannot listen on {settings.host}:{settings.listen_port}: {error.strerror}; "
            "set --host and --port, or ENCODERY_HOST and ENCODERY_LISTEN_PORT."
        ) from None
    return listener
