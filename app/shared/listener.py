"""The socket that the server listens on: of an address and a port, or of Unix. Light: it loads no server."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.settings import Settings

BACKLOG = 2048


class CannotServe(Exception):
    """No directory of models, no model that can be loaded, or no address to listen on."""


@contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """A bound socket; that of Unix is removed at the end. Raises CannotServe."""
    if settings.socket is None:
        with bind(settings) as listener:
            yield listener
        return
    with bind_unix(settings.socket, int(settings.socket_mode, 8)) as listener:
        made = settings.socket.stat()
        try:
            yield listener
        finally:
            with suppress(OSError):
                if os.path.samestat(made, settings.socket.stat()):  # no other server took its place
                    settings.socket.unlink()


def bind(settings: Settings) -> socket.socket:
    """A socket with its address, not yet listening: until there is a server, connections are refused."""
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


def bind_unix(path: Path, mode: int) -> socket.socket:
    """A socket of Unix that listens, so that nobody takes it for one that was left behind.

    One that was left behind is replaced; one on which somebody listens is not, nor is a file.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise CannotServe("This system has no Unix sockets; set ENCODERY_HOST and ENCODERY_LISTEN_PORT.")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    new = path.with_name(f"{path.name}.{os.getpid()}")  # has its mode before anybody can connect
    try:
        _check_is_free(path)
        new.unlink(missing_ok=True)
        listener.bind(str(new))
        new.chmod(mode)
        listener.listen(BACKLOG)
        new.rename(path)
    except OSError as error:  # of a path that is too long, without a number
        listener.close()
        new.unlink(missing_ok=True)
        raise CannotServe(
            f"Cannot listen on the Unix socket {path}: {error.strerror or error}; set ENCODERY_SOCKET."
        ) from None
    return listener


def _check_is_free(path: Path) -> None:
    """Raise OSError if the path is somebody else's."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(0, "there is a file, which is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return  # whoever made it is gone
    raise FileExistsError(0, "another server listens there")
