"""The machine and the libraries of a measurement."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.servers import ROOT

LIBRARIES = ("onnxruntime", "tokenizers", "numpy", "fastapi", "starlette", "uvicorn", "uvloop", "orjson")


def described() -> dict[str, Any]:
    """Describe them for the results."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "load_average": os.getloadavg()[0],
        "libraries": {name: version(name) for name in LIBRARIES},
    }
