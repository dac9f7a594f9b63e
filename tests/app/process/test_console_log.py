"""The log as a person at a terminal reads it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def test_models_at_start_stand_as_a_table_between_settings_and_url(published: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from app.shared.log import set_up_log; "
        "from app.process.server import _log_models; from app.main import load_models; "
        "from app.settings import settings_from; import structlog; "
        "settings = settings_from(models_dir=Path(sys.argv[1])); set_up_log('console', 'info'); "
        "_log_models(load_models(settings), settings)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, published],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = done.stderr.splitlines()

    assert [re.findall(r"name=(\S+)", row) for row in rows] == [["shop-item"], ["shop-user"], ["text"]]
    for column in ("name=", "version=", "space=", "dim=", "kind=", "load_ms="):
        assert len({row.index(column) for row in rows}) == 1, done.stderr
