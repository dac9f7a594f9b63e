"""Who published a bundle: Ed25519 signatures of its manifest's digest, which covers every file.

They stand in `signatures.json` beside the manifest, so that they go wherever the version goes, and may be
several, so that a key can follow another. What is not signed is what `current` and the aliases stand for.
https://www.rfc-editor.org/rfc/rfc8032
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from bundle.errors import SignatureError
from bundle.words import first_error

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURES = "signatures.json"
MOST_SIGNATURES, MAX_SIGNATURES_BYTES, MAX_KEYS_BYTES = 16, 1 << 16, 1 << 20
_SAYS = b"encodery bundle v1\n"  # before the digest, so that no signature of something else passes for ours
_PUBLIC = re.compile(rb"-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----")
_PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


class Signature(BaseModel):
    """One of a bundle's signatures.

    Attributes:
        key: which one made it, by `key_id`; for people, since every trusted key is tried.
        signature: 64 bytes, base64.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    key: Annotated[str, StringConstraints(pattern=r"^ed25519:[0-9a-f]{16}$")]
    signature: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{86}==$")]


class _File(BaseModel):
    """The content of signatures.json."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: Literal[1]
    signatures: Annotated[list[Signature], Field(max_length=MOST_SIGNATURES)]


@dataclass(frozen=True)
class TrustedKeys:
    """The public keys of which one must have signed whatever is loaded.

    Attributes:
        keys: id to key.
    """

    keys: Mapping[str, Ed25519PublicKey] = field(repr=False)

    @classmethod
    def from_pem(cls, content: bytes) -> TrustedKeys:
        """One or more public keys, one after the other. Raises SignatureError."""
        with _cryptography():
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
            from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415
        if _PRIVATE.search(content):
            raise SignatureError("it holds a private key, which belongs to whoever signs alone; take it away")
        blocks = _PUBLIC.findall(content)
        if not blocks or len(blocks) != content.count(b"-----BEGIN"):
            raise SignatureError("it is no PEM file of public keys, as `openssl pkey -pubout` writes them")
        keys = {}
        for number, block in enumerate(blocks, 1):
            try:
                key = load_pem_public_key(block)
            except Exception:  # it raises three kinds, and one is no ValueError
                raise SignatureError(f"key {number} of the file cannot be read") from None
            if not isinstance(key, Ed25519PublicKey):
                raise SignatureError(f"key {number} of the file is of another kind than Ed25519")
            keys[key_id(key)] = key
        return cls(keys)

    def check(self, digest: str, content: bytes | None) -> str:
        """The id of the first trusted key that signed a manifest.

        Args:
            digest: of the manifest.
            content: of signatures.json; None where there is none.

        Raises:
            SignatureError: none of them did.
        """
        if content is None:
            raise SignatureError("it is not signed, and this place takes signed bundles only")
        signatures = parse_signatures(content)
        for one in signatures:
            for name, key in self.keys.items():
                if _is_by(key, one, digest):
                    return name
        trusted = ", ".join(self.keys)
        if claimed := [one.key for one in signatures if one.key in self.keys]:
            raise SignatureError(f"the signature by {claimed[0]} is not of this bundle; sign it again")
        signers = ", ".join(one.key for one in signatures) or "nobody"
        raise SignatureError(f"it is signed by {signers}, and trusted are {trusted}")


def sign(digest: str, pem: bytes, content: bytes | None) -> bytes:
    """The content of signatures.json with the signature of one more key, which replaces its own older one.

    Args:
        digest: of the manifest.
        pem: the private key, PKCS 8, unencrypted.
        content: what the file holds so far.

    Raises:
        SignatureError: the key cannot be used, or the file has no room.
    """
    key = _private_key(pem)
    name = key_id(key.public_key())
    signature = base64.b64encode(key.sign(_SAYS + digest.encode())).decode()
    others = [one for one in parse_signatures(content) if one.key != name] if content is not None else []
    if len(others) == MOST_SIGNATURES:
        raise SignatureError(
            f"it has {MOST_SIGNATURES} signatures, the limit; remove {SIGNATURES}, and sign again"
        )
    made = _File(schema_version=1, signatures=[*others, Signature(key=name, signature=signature)])
    return made.model_dump_json(indent=1).encode() + b"\n"


def signer(pem: bytes) -> str:
    """The id of the key that a private key signs as. Raises SignatureError."""
    return key_id(_private_key(pem).public_key())


def parse_signatures(content: bytes) -> Sequence[Signature]:
    """What a signatures.json says; nothing of it is believed yet. Raises SignatureError."""
    try:
        return _File.model_validate_json(content).signatures
    except ValidationError as error:
        raise SignatureError(f"{SIGNATURES}: {first_error(error)}") from None


def key_id(key: Ed25519PublicKey) -> str:
    """`ed25519:` and the first 16 hexadecimal digits of the SHA-256 of the key's 32 bytes."""
    return f"ed25519:{hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]}"


def read_trusted_keys(path: Path) -> TrustedKeys:
    """The keys in a PEM file. Raises SignatureError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEYS_BYTES + 1)
    except OSError as error:
        raise SignatureError(f"{path}: {error.strerror}") from None
    if len(content) > MAX_KEYS_BYTES:
        raise SignatureError(f"{path} is larger than {MAX_KEYS_BYTES} bytes, the limit of a file of keys")
    try:
        return TrustedKeys.from_pem(content)
    except SignatureError as error:
        raise SignatureError(f"{path}: {error}") from None


def _is_by(key: Ed25519PublicKey, one: Signature, digest: str) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # a dependency of whoever wants it

    try:
        key.verify(base64.b64decode(one.signature), _SAYS + digest.encode())
    except InvalidSignature:
        return False
    return True


def _private_key(pem: bytes) -> Ed25519PrivateKey:
    with _cryptography():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise SignatureError("the key is encrypted; give it as `openssl pkey` writes it, decrypted") from None
    except Exception:  # as above
        raise SignatureError(
            "that is no private key; `openssl genpkey -algorithm ed25519` makes one"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError("the key is of another kind than Ed25519")
    return key


@contextmanager
def _cryptography() -> Iterator[None]:
    """Turn the absence of the extra into a sentence."""
    try:
        yield
    except ModuleNotFoundError:
        raise SignatureError(
            "signatures need the package cryptography: install the extra `signing` of the wheel, or in a "
            "checkout pip install --require-hashes --no-deps -r requirements/signing.lock"
        ) from None
