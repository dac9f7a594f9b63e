"""The types of settings that are more than a number or a word: what is wrong with one is told at start."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

ANY_PROXY, ON_SOCKET = "*", "unix"  # among trusted proxies: whoever connects, whoever does on the Unix socket
ANY_ORIGIN, LOCAL_ORIGINS = "*", "local"  # among origins: any, or a part of one; all of this machine
DEFAULT_PORTS = {"http": "80", "https": "443"}  # which a browser leaves out
ANY_HOST = "*"
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*\.?")
PREFIX_OF_PATHS = re.compile(r"(/[A-Za-z0-9._~-]+){1,16}")
_ORIGIN = re.compile(
    r"([a-z*][a-z0-9+.*-]*)://([a-z0-9._*-]*|\[[0-9a-f:.*]+\])(?::([0-9]{1,5}|[0-9]{0,4}\*))?/?"
)


def listed(names: str) -> list[str]:
    """Names with commas between them."""
    return [one for name in names.split(",") if (one := name.strip())]


def _can_be_sent(key: SecretStr) -> SecretStr:
    """Refuse what no client could put into a header, so that nobody wonders why his key is none."""
    if not re.fullmatch(r"[!-~]+", key.get_secret_value()):
        raise ValueError("a key is printable ASCII without blanks; is there a line break at its end?")
    return key


def _is_mode(mode: str) -> str:
    if not re.fullmatch("0?[0-7]{3}", mode):
        raise ValueError("permissions are three octal digits, as 660 for its user and group")
    return mode


def _are_proxies(names: str) -> str:
    for name in listed(names):
        if name in (ANY_PROXY, ON_SOCKET):
            continue
        try:
            ip_network(name, strict=False)
        except ValueError:
            raise ValueError(
                f"proxies are addresses or networks, `{ON_SOCKET}` or `{ANY_PROXY}`, with commas between them"
            ) from None
    return names


def _are_origins(origins: str) -> str:
    return ",".join(one if one in (ANY_ORIGIN, LOCAL_ORIGINS) else _as_sent(one) for one in listed(origins))


def _as_sent(origin: str) -> str:
    """The origin as a browser sends it, to be compared byte by byte."""
    found = _ORIGIN.fullmatch(origin.lower())
    if found is None or (not found[2] and found[1] in DEFAULT_PORTS):
        raise ValueError(
            "an origin is a scheme and a host, and a port if it is not the scheme's own, as "
            f"https://shop.example or http://localhost:3000, `{ANY_ORIGIN}` for any part or for all, or "
            f"`{LOCAL_ORIGINS}`; commas between them"
        )
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" + (f":{port}" if port and port != DEFAULT_PORTS.get(scheme) else "")


def _are_hosts(names: str) -> str:
    for name in listed(names):
        if not (name == ANY_HOST or _HOST.fullmatch(name) or _is_address(name)):
            raise ValueError(
                "a host is a name without scheme, port or path, as embed.example, or *.example for all "
                f"under it; `{ANY_HOST}` for all; commas between them"
            )
    return names


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _is_prefix(path: str) -> str:
    if path and not PREFIX_OF_PATHS.fullmatch(path):
        raise ValueError("a prefix of paths looks like /embeddings: no slash at its end")
    return path


def pulls(text: str) -> list[tuple[str, str]]:
    """Places and the models that are to be fetched from them: `PLACE NAME`, with commas between."""
    return [(place, name) for place, name in (one.split() for one in listed(text))]


def _are_pulls(text: str) -> str:
    for one in listed(text):
        if len(one.split()) != 2 or "@" in one.split()[0]:
            raise ValueError(
                "what is fetched at start is a place and a model, as https://models.example/encodery text@7, "
                "with commas between them and no password in an address"
            )
    return text


def _is_number(value: object) -> object:
    if isinstance(value, bool):  # which Python takes for 0 or 1, and a file of settings may hold
        raise ValueError("a number, not true or false")
    return value


Number = BeforeValidator(_is_number)
MOST = 2**53  # what others read exactly
Count = Annotated[int, Number, Field(ge=1, le=MOST)]
WholeSeconds = Annotated[int, Number, Field(ge=1, le=86_400)]
Seconds = Annotated[float, Number, Field(gt=0, le=3600, allow_inf_nan=False)]
SecondsOrNever = Annotated[float, Number, Field(ge=0, le=3600, allow_inf_nan=False)]
Secret = Annotated[SecretStr, AfterValidator(_can_be_sent)]
Mode = Annotated[str, AfterValidator(_is_mode)]
TrustedProxies = Annotated[str, AfterValidator(_are_proxies)]
Origins = Annotated[str, AfterValidator(_are_origins)]
Pulls = Annotated[str, AfterValidator(_are_pulls)]
Hosts = Annotated[str, AfterValidator(_are_hosts)]
PathPrefix = Annotated[str, AfterValidator(_is_prefix)]
