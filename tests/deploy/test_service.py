"""The unit for systemd, as systemd itself reads it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from shipped import DEPLOY, run, tool

pytestmark = pytest.mark.deploy

UNIT = DEPLOY / "systemd" / "encodery.service"
MOST_EXPOSED = 2.0  # of 10, by systemd's own count


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    verify = tool("systemd-analyze")
    there = re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text())
    (tmp_path / UNIT.name).write_text(there)

    assert run(verify, "verify", tmp_path / UNIT.name) == ""


def test_systemd_finds_the_service_locked_down() -> None:
    said = run(tool("systemd-analyze"), "security", "--offline=yes", "--no-pager", UNIT)

    exposure = re.search(r"Overall exposure level for encodery.service: ([\d.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) <= MOST_EXPOSED
