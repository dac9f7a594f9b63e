"""A server that takes signed bundles only: when it starts, fetches and switches, and as keys change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import tiny
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from running import ROOT, Server, server, until

from bundle import Store, publish, switch_current
from bundle.signatures import SIGNATURES
from bundle.signing import sign_group

pytestmark = pytest.mark.e2e


def private(seed: int) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public(seed: int) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    """The file of trusted keys, with one."""
    (file := tmp_path / "trusted.pem").write_bytes(public(1))
    return file


@pytest.fixture
def running(models: Path, trusted: Path) -> Iterator[Server]:
    """A server of `text` 1, which is signed, and of a pair that is not; versions 2 and 3 are not current."""
    sign_group(models, "text", "1", private(1))
    publish(models, [tiny.text_draft(seed=2)])
    publish(models, [tiny.text_draft(seed=3)])
    sign_group(models, "text", "3", private(1))
    switch_current(models, "text", "1")
    with server(models, ENCODERY_TRUSTED_KEYS=str(trusted), ENCODERY_REQUIRED_MODELS="text") as one:
        one.logged("ready")
        yield one


def asked(running: Server, path: str, body: Any = None, method: str | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = Request(
        running.logged("ready")["url"] + path, data, {"Content-Type": "application/json"}, method=method
    )
    try:
        with urlopen(request) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def served(running: Server) -> str:
    status, answer = asked(running, "/encode", {"model": "text", "inputs": ["red shoes"]})
    assert status == 200, answer
    return str(answer["version"])


def test_what_is_not_signed_is_refused_with_the_reason(running: Server) -> None:
    for name in ("shop-user", "shop-item"):
        status, _ = asked(running, "/encode", {"model": name, "inputs": [{}]})
        assert status in (404, 503)
    refused = {
        (one["name"], one["version"]): one["reason"] for one in running.log if one["event"] == "refused"
    }

    assert served(running) == "1"
    assert {name for name, _ in refused} >= {"shop-user", "shop-item"}
    assert set(refused.values()) == {"it is not signed, and this place takes signed bundles only"}


def test_switch_to_what_is_not_signed_is_refused(running: Server) -> None:
    status, answer = asked(
        running, "/models/text/aliases/current", {"versions": {"2": 100}, "new_space": True}, "PUT"
    )
    assert (status, "text/2: it is not signed" in json.dumps(answer)) == (409, True), answer
    assert served(running) == "1"

    status, answer = asked(
        running, "/models/text/aliases/current", {"versions": {"3": 100}, "new_space": True}, "PUT"
    )
    assert status == 200, answer
    assert served(running) == "3"


def test_keys_follow_one_another_without_a_restart(running: Server, models: Path, trusted: Path) -> None:
    sign_group(models, "text", "3", private(2))
    trusted.write_bytes(public(1) + public(2))
    running.process.send_signal(signal.SIGHUP)
    running.logged("reloaded")
    assert served(running) == "1"

    trusted.write_bytes(public(2))  # by which what is current is not signed: all stays, and it is told
    running.process.send_signal(signal.SIGHUP)
    until(lambda: any("text" in one.get("refused", ()) for one in running.log))
    [stays] = [one["refused"] for one in running.log if "text" in one.get("refused", ())]
    assert "1: it is signed by ed25519:" in stays["text"]
    assert served(running) == "1"

    sign_group(models, "text", "1", private(2))
    running.process.send_signal(signal.SIGHUP)
    running.logged("reloaded", times=2)
    assert served(running) == "1"


def test_start_fetches_signed_models_only(models: Path, trusted: Path, tmp_path: Path) -> None:
    sign_group(models, "text", "1", private(1))
    (here := tmp_path / "here").mkdir()
    pulls = f"{models} text, {models} shop-user"
    with server(here, ENCODERY_TRUSTED_KEYS=str(trusted), ENCODERY_PULL=pulls) as running:
        running.logged("ready")
        failed = running.logged("pull failed")

    assert failed["model"] == "shop-user"
    assert "is not signed" in failed["reason"]
    assert Store(here).names() == ["text"]
    assert (here / "text/1" / SIGNATURES).exists()


@pytest.mark.parametrize("content", [None, b"", private(1)])
def test_start_without_keys_that_can_be_used_fails(
    models: Path, tmp_path: Path, content: bytes | None
) -> None:
    """A slip in the file must not open the server to every bundle."""
    file = tmp_path / "keys.pem"
    if content is not None:
        file.write_bytes(content)
    with server(models, ENCODERY_TRUSTED_KEYS=str(file)) as running:
        assert running.wait() == 1

    assert any("ENCODERY_TRUSTED_KEYS cannot be used" in line["event"] for line in running.log)


def command(*arguments: object, trusted: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "encodery", *(str(one) for one in arguments)],
        cwd=ROOT,
        env=os.environ | ({"ENCODERY_TRUSTED_KEYS": str(trusted)} if trusted else {}),
        capture_output=True,
        text=True,
        check=False,
    )


def test_commands_sign_and_demand_signatures(models: Path, trusted: Path, tmp_path: Path) -> None:
    at = ("--models-dir", models)
    (key := tmp_path / "key.pem").write_bytes(private(1))
    unsigned = command("models", "verify", "text", *at, trusted=trusted)
    signed = command("models", "sign", "shop-user", "--key", key, *at)
    sound = command("models", "verify", "shop-item", *at, "--keys", trusted)
    plain = command("models", "verify", "shop-item", *at)
    switched = command("models", "use", "text", "1", *at, trusted=trusted)
    (rows := tmp_path / "rows.jsonl").write_text('{"text": "red shoes"}\n')
    encoded = command("encode", rows, tmp_path / "out.npy", *at, trusted=trusted)
    absent = command("models", "sign", "text", "--key", tmp_path / "no.pem", *at)

    reason = "it is not signed, and this place takes signed bundles only"
    assert (unsigned.returncode, unsigned.stdout) == (1, f"text/1: {reason}\n")
    by = "ed25519:" + signed.stdout.removeprefix("signed by ed25519:")[:16]
    assert signed.stdout == f"signed by {by}: shop-user/1, shop-item/1\n", signed.stderr
    assert (sound.returncode, sound.stdout) == (0, f"shop-item/1: sound, signed by {by}\n")
    assert plain.stdout == "shop-item/1: sound\n"
    for refused in (switched, encoded):
        assert (refused.returncode, refused.stderr) == (2, f"encodery: {reason}\n")
    assert (absent.returncode, absent.stderr) == (
        2,
        f"encodery: {tmp_path / 'no.pem'}: No such file or directory\n",
    )
