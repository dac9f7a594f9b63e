"""Models come from a bucket of moto's, and go there; skipped where `dev.py apart stores` set up none."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import ROOT, until

from bundle import Store
from encodery.transfer import TransferError, Wanted, place_of, pull, push
from encodery.transfer.pull import PARTIAL
from encodery.transfer.trees import Bucket
from encodery.transfer.web import ask

pytestmark = [pytest.mark.stores, pytest.mark.e2e]

PYTHON = ROOT / ".venv" / "stores" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
PLACE = "s3://models/some/prefix"


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The URL of a store that is running."""
    if not PYTHON.exists():
        pytest.skip("there is no .venv/stores; python3 dev.py apart stores")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(PYTHON), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None
        try:
            urllib.request.urlopen(f"{url}/moto-api/", timeout=10).close()
        except OSError:
            return False
        return True

    try:
        until(answers)
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def bucket(store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a bucket that this user may write to."""
    keys = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
    for name, value in {**keys, "ENDPOINT_URL": store, "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    url = f"{store}/models"
    headers = {"Content-Type": "text/xml", **Bucket("s3://models")._headers("PUT", url)}
    assert ask(url, method="PUT", body=b"", headers=headers).status == 200
    return PLACE


def test_what_is_sent_to_a_bucket_comes_back(models: Path, tmp_path: Path, bucket: str) -> None:
    here = tmp_path / "here"
    for name in ("shop-user", "text"):
        push(place_of(bucket), Wanted.parsed(name), models)
    entry = Store(models).manifest("text", "1").files["model.onnx"]
    (here / PARTIAL).mkdir(parents=True)
    (here / PARTIAL / entry.sha256).write_bytes((models / "text/1/model.onnx").read_bytes()[:100])
    for name in ("text", "shop-item"):
        pull(place_of(bucket), Wanted.parsed(name), here)

    for name in ("shop-user", "shop-item", "text"):
        assert Store(here).read(name, Store(here).current(name)).files == Store(models).read(name, "1").files
    with pytest.raises(TransferError, match="there is no model absent"):
        pull(place_of(bucket), Wanted.parsed("absent"), here)
