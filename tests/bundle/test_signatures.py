"""Signed bundles: what a signature covers, whose is believed, and what is said of the others."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from bundle import BundleError, Store, publish
from bundle.disk import Disk
from bundle.errors import IntegrityError, SignatureError
from bundle.manifest import FileEntry, space_id
from bundle.signatures import MOST_SIGNATURES, SIGNATURES, TrustedKeys, read_trusted_keys, sign, signer
from bundle.signing import sign_group

PAIR = ("shop-user", "shop-item")
DIGEST = "ab" * 32


@dataclass(frozen=True)
class Key:
    """One pair of keys, as PEM."""

    private: bytes
    public: bytes

    @classmethod
    def of(cls, seed: int) -> Key:
        key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        return cls(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        )


OURS, NEXT, THEIRS = Key.of(1), Key.of(2), Key.of(3)


def trusting(*keys: Key) -> TrustedKeys:
    return TrustedKeys.from_pem(b"".join(key.public for key in keys))


def read(models: Path, *keys: Key, name: str = "text", version: str = "1") -> str:
    return Store(models, trusting(*keys)).read(name, version).manifest.digest


def signatures(models: Path, name: str = "text", version: str = "1") -> Path:
    return models / name / version / SIGNATURES


def test_signed_bundle_is_read_and_loads(models: Path) -> None:
    sign_group(models, "text", None, OURS.private)

    assert Store(models, trusting(OURS)).load("text").manifest.version == "1"
    assert Store(models).load("text").manifest.version == "1"  # who demands nothing looks at nothing
    with pytest.raises(SignatureError, match="it is not signed"):
        read(models, OURS, name="shop-user")


def test_pair_is_signed_together(models: Path) -> None:
    signed = sign_group(models, "shop-user", "1", OURS.private)

    assert [one.name for one in signed] == list(PAIR)
    for name in PAIR:
        read(models, OURS, name=name)


def test_every_changed_file_is_refused(models: Path) -> None:
    """Where the manifest is not changed with it, its digest tells; where it is, the signature does."""
    sign_group(models, "text", "1", OURS.private)
    for name in sorted(path.name for path in (models / "text/1").iterdir()):
        file = models / "text/1" / name
        before = file.read_bytes()
        file.write_bytes(before[:-2] + bytes([before[-2] ^ 1]) + before[-1:])
        with pytest.raises(BundleError):
            read(models, OURS)
        file.write_bytes(before)
        read(models, OURS)


@pytest.mark.parametrize("change", ["model.onnx", "golden.json", "tokenizer.json", "README.md", None])
def test_whoever_writes_manifest_and_files_anew_cannot_sign(models: Path, change: str | None) -> None:
    """Every digest and the space are right; only the signature is of what was there before."""
    sign_group(models, "text", "1", OURS.private)
    other = Store(models).read("text", publish(models, [tiny.text_draft(seed=9)])[0].version)
    manifest = Store(models).manifest("text", "1").model_copy(update={"description": "another"})
    if change is not None:
        content = other.files[change] + (b" " if change != "model.onnx" else b"")
        (models / "text/1" / change).write_bytes(content)
        entry = FileEntry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        manifest = manifest.model_copy(update={"files": {**manifest.files, change: entry}})
    members = [manifest.encoder_digest("tokenizer.json")]
    forged = manifest.model_copy(update={"space": space_id(members), "space_members": members}).sealed()
    (models / "text/1/manifest.json").write_bytes(forged.to_bytes())

    assert Store(models).read("text", "1").manifest == forged
    with pytest.raises(SignatureError, match="is not of this bundle"):
        read(models, OURS)


def test_signature_of_another_version_is_refused(models: Path) -> None:
    publish(models, [tiny.text_draft(seed=5)])
    for version in ("1", "2"):
        sign_group(models, "text", version, OURS.private)
    shutil.copy(signatures(models, version="2"), signatures(models))

    with pytest.raises(SignatureError, match="is not of this bundle; sign it again"):
        read(models, OURS)
    read(models, OURS, version="2")


def test_another_key_is_refused_and_named(models: Path) -> None:
    sign_group(models, "text", "1", THEIRS.private)

    with pytest.raises(SignatureError) as raised:
        read(models, OURS, NEXT)
    assert str(raised.value) == (
        f"it is signed by {signer(THEIRS.private)}, and trusted are "
        f"{signer(OURS.private)}, {signer(NEXT.private)}"
    )


def test_signature_that_says_it_is_of_another_key_is_not_believed(models: Path) -> None:
    sign_group(models, "text", "1", THEIRS.private)
    file = signatures(models)
    file.write_text(file.read_text().replace(signer(THEIRS.private), signer(OURS.private)))

    with pytest.raises(SignatureError, match="is not of this bundle"):
        read(models, OURS)


def test_keys_follow_one_another(models: Path) -> None:
    """Sign by both, let every place trust both, then the new one; the bundle's space and files stay."""
    sign_group(models, "text", "1", OURS.private)
    before = Store(models).manifest("text", "1").digest
    sign_group(models, "text", "1", NEXT.private)

    assert read(models, OURS) == read(models, NEXT) == read(models, OURS, NEXT) == before
    sign_group(models, "text", "1", NEXT.private)  # once more is nothing new
    assert len(json.loads(signatures(models).read_text())["signatures"]) == 2
    with pytest.raises(SignatureError):
        read(models, THEIRS)


def test_what_is_not_as_published_is_not_signed(models: Path) -> None:
    (models / "shop-item/1/README.md").write_text("another")
    with pytest.raises(IntegrityError):
        sign_group(models, "shop-user", "1", OURS.private)

    assert not any(signatures(models, name).exists() for name in PAIR)


def test_full_disk_while_signing_leaves_a_sound_bundle(models: Path) -> None:
    class Full(Disk):
        def write(self, path: Path, content: bytes) -> None:
            path.write_bytes(content[:7])
            raise OSError(28, "No space left on device")

    with pytest.raises(BundleError, match="not all was signed: No space left"):
        sign_group(models, "text", "1", OURS.private, disk=Full())

    assert not signatures(models).exists()
    assert list(models.rglob(".tmp-*")) == []
    Store(models).load("text", "1")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "signatures.json"),
        (b"[]", "signatures.json"),
        (b'{"schema_version": 2, "signatures": []}', "schema_version"),
        (b'{"schema_version": 1, "signatures": []}', "signed by nobody"),
        (b'{"schema_version": 1, "signatures": [{"key": "me", "signature": ""}]}', "signatures"),
        (b'{"schema_version": 1, "signatures": [], "more": 1}', "more"),
        (b"[" * 60_000, "signatures.json"),
    ],
)
def test_malformed_signatures_are_refused_where_they_matter(models: Path, content: bytes, told: str) -> None:
    signatures(models).write_bytes(content)

    with pytest.raises(SignatureError, match=told):
        read(models, OURS)
    Store(models).read("text", "1")


def test_signatures_reached_by_a_link_or_too_long_are_refused(models: Path, tmp_path: Path) -> None:
    sign_group(models, "text", "1", OURS.private)
    elsewhere = shutil.move(signatures(models), tmp_path / SIGNATURES)
    signatures(models).symlink_to(elsewhere)
    with pytest.raises(IntegrityError, match="is a link"):
        read(models, OURS)
    signatures(models).unlink()
    signatures(models).write_bytes(b" " * 70_000)
    with pytest.raises(IntegrityError, match="the limit is"):
        read(models, OURS)


def test_there_is_an_end_to_signatures() -> None:
    content = None
    for seed in range(MOST_SIGNATURES):
        content = sign(DIGEST, Key.of(seed).private, content)
    with pytest.raises(SignatureError, match="16 signatures, the limit"):
        sign(DIGEST, Key.of(99).private, content)

    assert TrustedKeys.from_pem(Key.of(15).public).check(DIGEST, content) == signer(Key.of(15).private)


def _x25519(private: bool) -> bytes:
    key = X25519PrivateKey.from_private_bytes(bytes(32))
    if private:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _encrypted() -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no PEM file of public keys"),
        (b"ed25519:0011", "no PEM file of public keys"),
        (OURS.public + OURS.private, "it holds a private key"),
        (OURS.public[:-8], "no PEM file of public keys"),
        (OURS.public + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no PEM file"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "key 1 of the file cannot be read"),
        (OURS.public + _x25519(private=False), "key 2 of the file is of another kind"),
    ],
)
def test_file_of_keys_that_cannot_be_used_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    (file := tmp_path / "trusted.pem").write_bytes(content)
    with pytest.raises(SignatureError, match=told) as raised:
        read_trusted_keys(file)

    assert str(file) in str(raised.value)
    assert OURS.private.splitlines()[1].decode() not in str(raised.value)


@pytest.mark.parametrize(
    ("pem", "told"),
    [
        (b"", "no private key"),
        (OURS.public, "no private key"),
        (_x25519(private=True), "another kind than Ed25519"),
        (_encrypted(), "the key is encrypted"),
    ],
)
def test_key_that_cannot_sign_is_told(pem: bytes, told: str) -> None:
    with pytest.raises(SignatureError, match=told):
        sign(DIGEST, pem, None)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_keys_of_openssl_are_taken(models: Path, tmp_path: Path) -> None:
    """The two commands of the page."""
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    sign_group(models, "text", "1", private.read_bytes())

    assert Store(models, read_trusted_keys(public)).read("text", "1").manifest.version == "1"


@given(
    changed=st.integers(0, 63),
    bit=st.integers(0, 7),
    other=st.text("0123456789abcdef", min_size=64, max_size=64),
)
def test_no_bit_of_a_signature_may_differ(changed: int, bit: int, other: str) -> None:
    made = json.loads(sign(DIGEST, OURS.private, None))
    raw = bytearray(base64.b64decode(made["signatures"][0]["signature"]))
    raw[changed] ^= 1 << bit
    made["signatures"][0]["signature"] = base64.b64encode(raw).decode()
    with pytest.raises(SignatureError):
        trusting(OURS).check(DIGEST, json.dumps(made).encode())
    if other != DIGEST:
        with pytest.raises(SignatureError):
            trusting(OURS).check(other, sign(DIGEST, OURS.private, None))
