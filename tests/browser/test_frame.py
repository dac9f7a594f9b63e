"""What holds for all panels: keys, what cannot answer, contrast, width, names of controls, the keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import serving

PANELS = ("try", "compare", "map", "models", "now")
KEY = "ek_a-key-that-nobody-else-has"

# The contrast (WCAG 2.2, 1.4.3) of every text that is seen, with what is behind it.
CONTRAST = """() => {
  const parse = (text) => { const m = text.match(/[\\d.]+/g).map(Number);
    const scale = text.startsWith("color(") ? 255 : 1;
    return [m[0] * scale, m[1] * scale, m[2] * scale, m[3] ?? 1]; };
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const behind = (element) => { for (let one = element; one; one = one.parentElement) {
    const colour = parse(getComputedStyle(one).backgroundColor); if (colour[3] > 0.99) return colour; }
    return [255, 255, 255, 1]; };
  const low = [];
  let seen = 0;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(":disabled, .hidden, .skip")) continue;
    seen += 1;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(
      [element.tagName, element.className, element.textContent.slice(0, 30), ratio.toFixed(2)].join(" "));
  }
  return { seen, low };
}"""
NAMELESS = """() => [...document.querySelectorAll("input, select, textarea, button, a[href]")]
  .filter((one) => one.checkVisibility() && !one.getAttribute("aria-label") && !one.textContent.trim()
    && !(one.labels && [...one.labels].some((label) => label.textContent.trim())))
  .map((one) => one.outerHTML.slice(0, 120))"""
ACTIONS = {"try": "Encode", "compare": "Compare", "map": "Encode and draw"}
DONE = {"try": "figure.vector", "compare": ".heat", "map": "canvas.map", "models": "article", "now": ".tile"}


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_can_be_read_and_fits(visit: Callable[..., Any], bundled: str, look: str, panel: str) -> None:
    page = visit(f"{bundled}#{panel}", look)
    if panel in ACTIONS:
        page.get_by_role("button", name=ACTIONS[panel], exact=True).click()
    page.locator(DONE[panel]).first.wait_for()
    contrast = page.evaluate(CONTRAST)

    assert contrast["seen"] > 10
    assert contrast["low"] == []
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.get_by_role("link", name=panel.capitalize()).get_attribute("aria-current") == "page"


def test_the_keyboard_is_enough(visit: Callable[..., Any], bundled: str) -> None:
    """From the address line to vectors, and on to another panel."""
    page = visit(bundled)
    page.get_by_label("Texts, one a line").wait_for()

    def focused() -> str:
        return str(page.evaluate("document.activeElement.textContent || document.activeElement.id"))

    def tab_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if focused().strip() == name:
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
                return
        raise AssertionError(f"no Tab leads to {name}")

    tab_to("Skip to the panel")
    page.keyboard.press("Enter")
    tab_to("Encode")
    page.keyboard.press("Enter")
    page.locator("figure.vector").first.wait_for()
    tab_to("curl")
    page.keyboard.press("ArrowRight")
    assert focused() == "Python"
    assert page.locator("pre[aria-label='Python']").count() == 1


def test_a_key_is_asked_for_and_kept_in_memory_alone(
    visit: Callable[..., Any], chromium: Any, published: Path, look: str
) -> None:
    with serving(published, ENCODERY_API_KEY=KEY) as url:
        page = visit(f"{url}/", look, expected="401")
        dialog = page.get_by_role("dialog", name="A key of this server")
        dialog.get_by_label("Key").fill("wrong")
        dialog.get_by_role("button", name="Use it").click()
        dialog.get_by_text("send a key of this server").wait_for()
        dialog.get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Encode", exact=True).click()
        page.locator("figure.vector").first.wait_for()
        programs = {}
        for name in ("curl", "Python", "JavaScript", "OpenAI client"):
            page.get_by_role("tab", name=name).click()
            programs[name] = page.locator(f"pre[aria-label='{name}']").inner_text()
        stored = page.evaluate(
            "JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])"
        )
        page.get_by_role("link", name="Now").click()
        page.locator(".tile").first.wait_for()

        assert not dialog.is_visible()
        assert all("ENCODERY_KEY" in text and KEY not in text for text in programs.values())
        assert KEY not in stored + page.content()
        page.reload()
        dialog.wait_for()


def test_what_was_refused_at_load_says_why(
    visit: Callable[..., Any], chromium: Any, models: Path, look: str
) -> None:
    graph = models / "shop-item" / "1" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b" ")
    with serving(models) as url:
        page = visit(f"{url}/#now", look, expected="net::ERR_")  # it asks until the server ends
        row = page.locator("table:has(caption:text-is('Refused at load')) tr", has_text="shop-item")
        row.wait_for()

        assert "model.onnx has" in row.inner_text()


def test_a_server_without_metrics_says_so(visit: Callable[..., Any], chromium: Any, published: Path) -> None:
    with serving(published, ENCODERY_METRICS="false") as url:
        page = visit(f"{url}/#now", expected="404")

        assert "ENCODERY_METRICS" in page.get_by_role("alert").inner_text()


def test_a_server_that_is_gone_is_told(visit: Callable[..., Any], chromium: Any, published: Path) -> None:
    with serving(published) as url:
        page = visit(f"{url}/", expected="ERR_CONNECTION_REFUSED")
        page.get_by_label("Texts, one a line").fill("hello world")
    page.get_by_role("button", name="Encode", exact=True).click()

    assert "does not answer" in page.get_by_role("alert").inner_text()
