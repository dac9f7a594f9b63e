"""Asks the server whether it is ready, where its settings say that it listens: `python -m encodery.probe`.

For health checks. They run every few seconds, so this takes the standard library alone: reading all settings
takes five times as long. Ends with status 0 for a server that is ready, else with 1 and a line that says why.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
import tomllib
from pathlib import Path
from typing import Any

PREFIX, PATH, TIMEOUT_S = "ENCODERY_", "/health/ready", 4.0
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where to ask a server on every interface


def main() -> int:
    """Ask; the exit status."""
    connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT_S)
    try:
        connection.sock = _connected(_Settings())
        connection.request("GET", PATH)
        answer = connection.getresponse()
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.stderr.write(f"not ready: {error or type(error).__name__}\n")
        return 1
    finally:
        connection.close()
    if answer.status != http.client.OK:
        sys.stderr.write(f"not ready: {answer.status}\n")
    return int(answer.status != http.client.OK)


class _Settings:
    """Those of the server that say where it listens: a variable comes before the file."""

    def __init__(self) -> None:
        from app.places import read_regular  # nothing of the server is loaded before it is needed

        file = os.environ.get(f"{PREFIX}CONFIG")
        self._file: dict[str, Any] = tomllib.loads(read_regular(Path(file)).decode()) if file else {}

    def get(self, name: str, default: str = "") -> str:
        return os.environ.get(f"{PREFIX}{name.upper()}") or str(self._file.get(name, default))


def _connected(settings: _Settings) -> socket.socket:
    """A connection to the server, secured if it is one of TLS. Raises OSError."""
    if path := settings.get("socket"):
        found = socket.socket(socket.AF_UNIX)
        found.settimeout(TIMEOUT_S)
        found.connect(path)
    else:
        host = settings.get("host", "127.0.0.1")
        found = socket.create_connection(
            (LOOPBACK.get(host, host), int(settings.get("listen_port", "8000"))), TIMEOUT_S
        )
    if not settings.get("tls_certificate"):
        return found
    import ssl  # only where it is needed

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # its name is not that of loopback
    return context.wrap_socket(found)


if __name__ == "__main__":
    sys.exit(main())
