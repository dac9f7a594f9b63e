"""The log as a person at a terminal reads it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.shared.console import Console

ROOT = Path(__file__).parents[3]
MODEL = {
    "event": "model",
    "level": "info",
    "timestamp": "12:00:00",
    "space": "sp_" + "0" * 32,
    "load_ms": 1234,
}
ESCAPES = re.compile(r"\x1b\[\d+m")


def line(event: dict[str, Any], *, in_colour: bool = False) -> str:
    return Console(in_colour=in_colour)(None, "info", dict(event))


def test_models_stand_as_a_table_and_each_tells_its_state() -> None:
    rows = [
        line(MODEL | {"name": name, "version": "12", "dim": dim, "kind": kind})
        for name, dim, kind in (("text", 384, "text"), ("shop-user", 1024, "features"))
    ]

    assert rows[0].split() == ["text", "12", MODEL["space"], "384", "text", "ready", "in", "1.2", "s"]
    for word in ("12 ", "sp_", "ready"):
        assert len({row.index(word) for row in rows}) == 1, rows


def test_a_refused_model_is_a_row_with_its_reason() -> None:
    refused = {"event": "refused", "name": "text", "version": "3", "reason": "model.onnx is changed"}

    assert line(refused).split(maxsplit=3) == ["text", "3", "refused:", "model.onnx is changed"]


def test_the_address_and_that_of_the_documentation_are_told() -> None:
    assert "http://a:1  open it in a browser to try it; the API is at http://a:1/docs" in line(
        {"event": "ready", "url": "http://a:1"}
    )
    with_keys = line({"event": "ready", "url": "http://a:1", "needs": "a key"})
    assert "needs a key" in with_keys
    assert "/docs" not in with_keys  # which no browser would be shown


@pytest.mark.parametrize("event", [MODEL | {"name": "text"}, {"event": "ready", "url": "http://a"}])
def test_colour_changes_nothing_else(event: dict[str, Any]) -> None:
    coloured = line(event, in_colour=True)

    assert ESCAPES.search(coloured)
    assert ESCAPES.sub("", coloured) == line(event)


def test_what_is_not_known_stands_with_its_values_and_breaks_no_line() -> None:
    """Values of a request do not reach the log; were one to, it could not forge a line."""
    other = {"event": "keys", "level": "info", "timestamp": "12:00:00", "number": 3, "reason": "a\nb\x1b[31m"}

    assert "number=3" in line(other)
    assert len(line(other).splitlines()) == 1
    assert "\x1b" not in line(other)


def test_a_worker_is_named() -> None:
    assert line(MODEL | {"name": "text", "worker": 0}).endswith("worker 0")


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_terminal_gets_the_table_and_only_the_settings_that_were_changed(published: Path) -> None:
    """A real server whose standard error is a terminal."""
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "encodery", "serve", "--port", "0", "--models-dir", str(published)]
    environment = {name: value for name, value in os.environ.items() if name.partition("_")[0] != "ENCODERY"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment | {"ENCODERY_MAX_ITEMS": "7"}, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while b"/docs" not in shown or shown.count(b"ready") < 3:
        shown += os.read(ours, 65536)
    process.terminate()
    process.wait()
    os.close(ours)

    lines = ESCAPES.sub("", shown.decode()).splitlines()
    changed = f"encodery models from {published} listen_port=0 max_items=7"
    assert " ".join(lines[0].split()) == f"{changed} all else by default; encodery config shows it"
    assert {row.split()[0] for row in lines[1:] if " ready" in row} >= {"text", "shop-user", "shop-item"}
