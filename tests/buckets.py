"""A store of S3's kind, moto's, for tests that are skipped where `dev.py apart stores` set up none."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest
from running import ROOT, until

from encodery.transfer.trees import Bucket
from encodery.transfer.web import ask

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
