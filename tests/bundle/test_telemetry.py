"""Nobody is told that this runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_importing_the_bundle_leaves_no_trace_of_telemetry(tmp_path: Path) -> None:
    """Unless CI is set or it is told, onnxruntime keeps an id and a queue of events in the home directory."""
    silenced = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in silenced}
    program = "import bundle, onnxruntime; print(onnxruntime.__version__)"
    subprocess.run(
        [sys.executable, "-B", "-c", program],
        env=environment | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )

    assert list(tmp_path.rglob("*")) == []
