"""The files of deploy/, and the tools that try them where a machine has them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PACKAGES = {"promtool": "prometheus", "prometheus": "prometheus", "nginx": "nginx-light"}  # of Debian


def tool(name: str) -> str:
    """Where a tool is; the test is skipped, and says how to get it, where there is none."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.skip(f"there is no {name}" + (f": apt install {PACKAGES[name]}" if name in PACKAGES else ""))
    return found


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """What a command prints on both streams; it must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def documents(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if one is not None]


def read(path: str) -> Any:
    """A file of deploy/ that holds one document of YAML."""
    return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))


def python_of(environment: str) -> Path:
    """The Python of `.venv/<environment>`; the test is skipped where it was not made."""
    found = ROOT / ".venv" / environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not found.exists():
        pytest.skip(f"there is no .venv/{environment}; python3 dev.py apart deploy")
    return found


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
