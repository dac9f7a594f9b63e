"""What the audit holds when a server has ended."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx2 as httpx
import pytest
from running import server

pytestmark = pytest.mark.e2e

REFUSED = 5


@pytest.mark.parametrize("workers", ["1", "2"])
def test_refusals_that_were_counted_are_told_at_the_end(
    published: Path, tmp_path: Path, workers: str
) -> None:
    file = tmp_path / "audit.jsonl"
    with server(
        published, ENCODERY_WORKERS=workers, ENCODERY_API_KEY="ek_mine", ENCODERY_AUDIT_FILE=str(file)
    ) as running:
        url = running.logged("ready")["url"]
        for _ in range(REFUSED):
            assert httpx.get(f"{url}/models", trust_env=False).status_code == 401
        running.process.send_signal(signal.SIGTERM)
        assert running.wait() == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]

    assert sum(line["times"] for line in lines if line["event"] == "access.refused") == REFUSED
    assert {line["caller"] for line in lines if line["event"] == "keys.read"} == {"ENCODERY_API_KEY"}
