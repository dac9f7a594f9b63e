"""The log's two forms."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from app.shared.log import set_up_log


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    root, settings = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
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
