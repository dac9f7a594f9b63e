"""A real browser, the system's own Chromium, on a real server with the bundled models.

`python3 dev.py apart browser` sets up Playwright in .venv/browser and runs these; otherwise all is
skipped with the reason. Pictures of what was seen are left in build/browser.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running import ROOT, serving

PACKAGES = list((ROOT / ".venv" / "browser").glob("[lL]ib*/**/site-packages"))
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PICTURES = ROOT / "build" / "browser"
WAIT_MS = 60_000  # the same
LOOKS = {
    "1280-light": (1280, "light"),
    "1280-dark": (1280, "dark"),
    "390-light": (390, "light"),
    "390-dark": (390, "dark"),
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs the browser, and skip it among others: Playwright's event loop stays running."""
    is_asked_for = "browser" in config.option.markexpr
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not is_asked_for:
                item.add_marker(pytest.mark.skip("they run apart: python3 dev.py apart browser"))
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if not PACKAGES:
        pytest.skip("there is no .venv/browser; python3 dev.py apart browser")
    if executable is None:
        pytest.skip("there is no Chromium; on Debian: apt install chromium")
    sys.path.append(str(PACKAGES[0]))
    from playwright.sync_api import sync_playwright  # of another environment

    is_root = hasattr(os, "geteuid") and os.geteuid() == 0  # whom Chromium's sandbox refuses
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"] if is_root else []
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def bundled(chromium: Any) -> Iterator[str]:
    """The URL of a server with the bundled models; ends with a slash."""
    with serving(ROOT / "models", ENCODERY_STALL_LIMIT_S="300") as url:  # a busy machine is slow, not wrong
        yield f"{url}/"


@pytest.fixture(params=LOOKS)
def look(request: pytest.FixtureRequest) -> str:
    """A size and a colour scheme."""
    return str(request.param)


@pytest.fixture
def visit(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """`visit(url, look)` is a page; at the end nothing may be on its console, nor asked of another host."""
    opened: list[tuple[Any, list[str], str]] = []

    def visit(url: str, look: str = "1280-light", *, expected: str = "\0") -> Any:
        width, scheme = LOOKS[look]
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        faults: list[str] = []
        page.on("console", lambda line: None if expected in line.text else faults.append(line.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        origin = (url.partition("#")[0], "data:", "blob:")
        page.on("request", lambda asked: None if asked.url.startswith(origin) else faults.append(asked.url))
        opened.append((context, faults, request.node.name))
        page.goto(url)
        return page

    yield visit
    for context, _, name in opened:
        if "look" in request.fixturenames:
            context.pages[0].screenshot(path=PICTURES / f"{name}.png", full_page=True)
        context.close()
    assert [faults for _, faults, _ in opened if faults] == []
