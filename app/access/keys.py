"""API keys: a file that holds their digests, and the ring that finds the key of a secret.

    [search]                     # the name, in logs and metrics
    sha256 = "9f86d0..."         # of the secret; a list while secrets are changed
    scopes = ["encode"]          # of encode, metrics and admin
    models = ["text*"]           # patterns; by default every model
    expires = 2027-01-31         # the key is none from then on (UTC); by default never
    requests_per_s = 50          # these three: by default without bound
    tokens_per_s = 20000
    max_in_work = 32             # inputs

A secret is made at random, 256 bits, so one round of SHA-256 keeps it: there is nothing to guess. Digests
are compared in constant time. A secret is never kept, logged or printed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from app.access.rates import RateLimits
from app.places import read_regular
from app.shared.files import toml_table
from app.shared.rate_table import ROWS
from bundle.words import DIGEST, first_error

Scope: TypeAlias = Literal["encode", "metrics", "admin"]
ALL_SCOPES: frozenset[Scope] = frozenset({"encode", "metrics", "admin"})
NO_LIMITS = RateLimits()
NO_SECRET = hashlib.sha256(b"").digest()
MOST_KEYS = ROWS
PREFIX = "ek_"  # of the secrets made here, so that scanners of repositories can find them

Digest: TypeAlias = Annotated[str, StringConstraints(pattern=DIGEST)]
Rate: TypeAlias = Annotated[float, Field(ge=1e-3, le=1e9)]


class KeysError(ValueError):
    """The file of keys cannot be used; the message names the place, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        name: for logs and metrics.
        digests: SHA-256 of each of its secrets.
        scopes: what it may do.
        models: patterns of the models that it may ask for.
        limits: how much it may do.
        expires_s: unix time from which on it is none; None for never.
    """

    name: str
    digests: tuple[bytes, ...]
    scopes: frozenset[Scope] = ALL_SCOPES
    models: tuple[str, ...] = ("*",)
    limits: RateLimits = NO_LIMITS
    expires_s: float | None = None

    def may(self, scope: str) -> bool:
        """Tell whether it may do what needs the scope."""
        return scope in self.scopes

    def is_good(self, now_s: float) -> bool:
        """Tell whether it has not expired."""
        return self.expires_s is None or now_s < self.expires_s

    def may_ask(self, model: str) -> bool:
        """Tell whether it may ask for the model."""
        return any(fnmatchcase(model, pattern) for pattern in self.models)


ANYBODY = Key("anybody", ())  # who asks where there are no keys


class KeyRing:
    """Keys, found by their secrets.

    Where a digest is looked for depends on a key of this object alone, so that the time it takes tells
    nothing, however many keys there are.

    Args:
        keys: with different names.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = tuple(keys)
        self._salt = secrets.token_bytes(16)
        self._places: dict[bytes, list[tuple[bytes, Key]]] = {}
        for key in self._keys:
            for digest in key.digests:
                self._places.setdefault(self._place(digest), []).append((digest, key))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, secret: bytes) -> Key | None:
        """The key of a secret; None if it is nobody's."""
        asked, found = hashlib.sha256(secret).digest(), None
        for digest, key in self._places.get(self._place(asked), ()):
            if hmac.compare_digest(asked, digest):
                found = key
        return found

    def _place(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, digest_size=8, key=self._salt).digest()


class _Row(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sha256: Annotated[
        list[Digest], Field(min_length=1), BeforeValidator(lambda one: [one] if isinstance(one, str) else one)
    ]
    scopes: list[Scope] = ["encode"]
    models: Annotated[list[str], Field(min_length=1)] = ["*"]
    expires: datetime | date | None = None
    requests_per_s: Rate | None = None
    tokens_per_s: Rate | None = None
    max_in_work: Annotated[int, Field(ge=1)] | None = None


NAME = r"^[A-Za-z0-9_-]{1,64}$"  # what TOML takes without quotes


def _is_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError("a key's name is 1 to 64 letters, digits, '_' and '-'")
    return name


_FILE = TypeAdapter(dict[Annotated[str, AfterValidator(_is_name)], _Row])


def read_keys(path: Path) -> list[Key]:
    """The keys in a file. Raises KeysError, if it cannot be used."""
    try:
        content = read_regular(path)
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror}") from None
    return parse_keys(content, str(path))


def parse_keys(content: bytes, where: str) -> list[Key]:
    """The keys in the bytes of a file. Raises KeysError, which names the place in it."""
    return keys_of(toml_table(content, where, KeysError), where)


def keys_of(content: Mapping[str, object], where: str) -> list[Key]:
    """The keys in the content of a file. Raises KeysError, which names the place in it."""
    try:
        rows = _FILE.validate_python(content)
    except ValidationError as error:
        raise KeysError(f"{where}: {first_error(error)}") from None
    if not rows:
        raise KeysError(f"{where} has no key")
    if len(rows) > MOST_KEYS:
        raise KeysError(f"{where} has {len(rows)} keys; the limit is {MOST_KEYS}")
    keys = [_key(name, row) for name, row in rows.items()]
    _check_digests(keys, where)
    return keys


def _check_digests(keys: Sequence[Key], where: str) -> None:
    """Raise KeysError for a digest that two keys have, and for that of no secret at all."""
    owners: dict[bytes, str] = {}
    for key in keys:
        for digest in key.digests:
            if hmac.compare_digest(digest, NO_SECRET):
                raise KeysError(f"{where}: {key.name}.sha256: the digest of an empty secret, which all have")
            if (other := owners.setdefault(digest, key.name)) != key.name:  # ours, not a caller's
                raise KeysError(f"{where}: {key.name}.sha256: {other} has the same secret")


def new_secret() -> tuple[str, str]:
    """A new secret, and its digest for the file."""
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, hashlib.sha256(secret.encode()).hexdigest()


def _key(name: str, row: _Row) -> Key:
    limits = RateLimits(row.requests_per_s, row.tokens_per_s, row.max_in_work)
    digests = tuple(bytes.fromhex(one) for one in row.sha256)
    return Key(name, digests, frozenset(row.scopes), tuple(row.models), limits, _moment(row.expires))


def _moment(given: datetime | date | None) -> float | None:
    """Unix time; of a date its first moment, and without a zone UTC."""
    if given is None:
        return None
    moment = given if isinstance(given, datetime) else datetime.combine(given, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
