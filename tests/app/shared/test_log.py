"""The log's two forms."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from app.shared.audit import audit
from app.shared.log import AUDIT, set_up_log


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    root, settings = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    audits = logging.getLogger(AUDIT)
    for handler in audits.handlers:
        handler.close()
    audits.handlers, audits.propagate = [], True
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**settings)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_json_has_one_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of libraries too, and whatever is in a value stays in its line."""
    set_up_log("auto", "info")  # standard error is no terminal here

    structlog.get_logger("encodery").info("ready", url="http://a\n")
    logging.getLogger("uvicorn.error").error("late %s", "news")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")

    ours, theirs = map(json.loads, lines(capsys))
    assert (ours["event"], ours["url"], ours["level"]) == ("ready", "http://a\n", "info")
    assert (theirs["event"], theirs["level"]) == ("late news", "error")


def test_console_is_for_reading(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_log("console", "info")

    structlog.get_logger("encodery").info("keys", number=3)

    [line] = lines(capsys)
    assert "keys" in line
    assert "number=3" in line


@pytest.mark.parametrize(("level", "count"), [("debug", 2), ("info", 1), ("error", 0)])
def test_the_level_decides(capsys: pytest.CaptureFixture[str], level: str, count: int) -> None:
    set_up_log("json", level)

    structlog.get_logger("encodery").info("one")
    structlog.get_logger("encodery").debug("two")
    logging.getLogger("asyncio").info("libraries are heard from warnings up")

    assert len(lines(capsys)) == count


@pytest.mark.parametrize("level", ["debug", "error"])
def test_the_audit_is_written_whatever_the_level(capsys: pytest.CaptureFixture[str], level: str) -> None:
    set_up_log("json", level)

    audit("keys.read", "file of keys", added=["search"])

    [line] = map(json.loads, lines(capsys))
    assert (line["event"], line["logger"]) == ("keys.read", "encodery.audit")
    assert (line["caller"], line["added"]) == ("file of keys", ["search"])


def test_the_audit_may_have_a_file_which_may_be_rotated(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    set_up_log("console", "info", audit_file=file)

    audit("one", "somebody")
    file.rename(tmp_path / "audit.1")
    audit("two", "somebody\nelse")

    assert lines(capsys) == []
    assert [json.loads(line)["event"] for line in (tmp_path / "audit.1").read_text().splitlines()] == ["one"]
    assert [json.loads(line)["caller"] for line in file.read_text().splitlines()] == ["somebody\nelse"]
