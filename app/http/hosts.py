"""Refuses requests under a foreign name, on a server that listens to this machine alone.

A page of `evil.example` may have that name lead to 127.0.0.1 a second after it was loaded (DNS rebinding): to
its browser this server is then the page's own, and nothing is asked before it is sent and read. What gives it
away is the name in Host. A name without a dot, an address, and the suffixes that no public DNS gives away are
of this machine or its network.
https://www.rfc-editor.org/rfc/rfc6761, https://www.rfc-editor.org/rfc/rfc6762
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from fastapi import Request

from app.http.errors import Forbidden
from app.setting_types import ANY_HOST, listed
from app.settings import Settings

_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa")


def check_host(settings: Settings, request: Request) -> None:
    """Raise Forbidden for a name that is neither local, as that of a probe, nor named by the setting."""
    host = request.headers.get("host") or ""
    if is_local(host) or _is_allowed(host, settings.allowed_hosts):
        return
    if settings.allowed_hosts or is_local_alone(settings, request):
        raise Forbidden(
            "this server is not asked under that name: send a local one, such as localhost, as Host, or put "
            "the name into ENCODERY_ALLOWED_HOSTS",
            code="foreign_host",
        )


def is_local_alone(settings: Settings, request: Request) -> bool:
    """Tell whether only this machine can have sent it, and no proxy of the operator's was told of."""
    here = request.scope.get("server")
    if here is None or settings.trusted_proxies or not _is_loopback(settings.host):
        return False
    return _is_loopback(here[0])  # another ASGI server may listen elsewhere


@lru_cache(maxsize=64)
def is_local(host: str) -> bool:
    """Tell whether no public DNS can give this name away; the header of that name may have a port."""
    name = _without_port(host).lower().rstrip(".")
    return "." not in name or name.endswith(_LOCAL_SUFFIXES) or _is_address(name)


@lru_cache(maxsize=64)
def _is_allowed(host: str, allowed: str) -> bool:
    name, names = _without_port(host).lower().rstrip("."), listed(allowed.lower())
    return ANY_HOST in names or any(
        name == one or (one.startswith("*.") and name.endswith(one[1:])) for one in names
    )


def _without_port(host: str) -> str:
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)
