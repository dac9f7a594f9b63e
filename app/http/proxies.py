"""What proxies in front say of a request: who sent it to them, by which scheme, under which prefix.

Anybody may send such headers, so those of trusted proxies count only, and by default there are none. The
client is the last address of X-Forwarded-For that is no trusted proxy's: those before it are its own words.
https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias

from starlette.types import Scope

from app.setting_types import ANY_PROXY, ON_SOCKET, PREFIX_OF_PATHS, listed

Address: TypeAlias = IPv4Address | IPv6Address

FOR, PROTO, PREFIX = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-prefix"
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|(\d+(?:\.\d+){3}):\d+")
_SCHEMES = {b"http": "http", b"https": "https"}


class Proxies:
    """The proxies that are trusted.

    Args:
        trusted: addresses and networks with commas, `unix` for the peers of a Unix socket, `*` for all.
        root_path: prefix that the proxy takes away from paths, where it does not say another one.
    """

    def __init__(self, trusted: str = "", root_path: str = "") -> None:
        names = listed(trusted)
        self._trusts_all, self._trusts_socket = ANY_PROXY in names, ON_SOCKET in names
        self._networks = [ip_network(one, strict=False) for one in names if one not in (ANY_PROXY, ON_SOCKET)]
        self._root_path = root_path.rstrip("/")
        self._is_needed = bool(names or self._root_path)
        self._is_trusted = lru_cache(maxsize=1024)(self._looked_up)

    def apply(self, scope: Scope) -> None:
        """Put into a request's scope what is known of it beyond its connection."""
        if not self._is_needed:
            return
        root_path, client = self._root_path, scope["client"]
        if self._is_trusted(client[0] if client else None):
            headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
            if came_from := self._client([value for name, value in headers if name == FOR]):
                scope["client"] = (str(came_from), 0)
            last = {name: value for name, value in headers if name in (PROTO, PREFIX)}
            scope["scheme"] = _SCHEMES.get(last.get(PROTO, b"").lower(), scope["scheme"])
            root_path = _prefix(last.get(PREFIX)) or root_path
        if root_path:  # ASGI: the path has it, whatever the proxy sent
            scope["root_path"], scope["path"] = root_path, root_path + scope["path"]

    def _client(self, values: Sequence[bytes]) -> Address | None:
        """The last address that is no proxy's; None where there is none, or something else stands there."""
        found: Address | None = None
        for value in reversed(b",".join(values).decode("latin-1").split(",")):
            if (address := _address(value.strip())) is None:
                return found
            found = address
            if not self._is_trusted(str(address)):
                return found
        return found

    def _looked_up(self, peer: str | None) -> bool:
        if self._trusts_all:
            return True
        if peer is None:  # on a Unix socket
            return self._trusts_socket
        address = _address(peer)
        return address is not None and any(address in one for one in self._networks)


def _address(text: str) -> Address | None:
    """An address, perhaps with a port behind it. One of IPv4 in IPv6 is that of IPv4."""
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _prefix(value: bytes | None) -> str | None:
    text = (value or b"").decode("latin-1").rstrip("/")
    return text if PREFIX_OF_PATHS.fullmatch(text) else None
