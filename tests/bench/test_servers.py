"""Servers as processes: one that does not start is skipped, with the reason that it gave."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.servers import Server, Unavailable, running


def starting(program: str, log: Path) -> str:
    """Why a server that runs this program is not measured."""
    server = Server("other", lambda port: [sys.executable, "-c", program])
    with pytest.raises(Unavailable) as raised, running(server, log):
        pass
    return str(raised.value)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("", "no output"),
        ("print('bye')", "bye"),
        ("print('ImportError: no optimum\\n\\nERROR: exiting')", "ImportError: no optimum"),
    ],
)
def test_the_reason_is_the_last_error_that_is_named_or_the_last_line(
    program: str, reason: str, tmp_path: Path
) -> None:
    assert starting(program, tmp_path / "log") == f"ended when it was started: {reason}"


def test_a_server_has_the_variables_that_it_inherits_and_its_own(tmp_path: Path) -> None:
    program = "import os; print(os.environ.get('ENCODERY_A'), os.environ.get('B'), os.environ.get('HOME'))"
    server = Server("other", lambda port: [sys.executable, "-c", program], variables={"B": "own"})

    with pytest.raises(Unavailable) as raised, running(server, tmp_path / "log", {"ENCODERY_A": "1"}):
        pass

    assert str(raised.value).endswith(": 1 own None")
