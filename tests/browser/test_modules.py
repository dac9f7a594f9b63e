"""The page's modules by themselves, in the browser: rows, arithmetic, metrics, saved files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

CARD = """# A `b`

<img src=x onerror=alert(1)> **c**

- [d](https://e.example)

    i = {
      k


| f |
|---|
| g |

```
h
```
|"""


@pytest.fixture(scope="module")
def page(chromium: Any, bundled: str) -> Iterator[Any]:
    """One page for all: modules keep nothing."""
    page = chromium.new_page()
    page.goto(bundled)
    yield page
    page.close()


@pytest.fixture
def call(page: Any) -> Callable[..., Any]:
    """`call("rows.js", "readRows", argument…)`: what the function returns, or its error's message."""
    script = """async ([module, name, given]) => {
      const found = (await import(`/page/${module}`))[name];
      try { return await found(...given); } catch (error) { return { error: error.message }; }
    }"""
    return lambda module, name, *given: page.evaluate(script, [module, name, list(given)])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ("\ufeffa;b\r\n1;2\r\n\r\n3;4", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        ('a\tb\n"x\ty"\t"say ""hi"""', [{"a": "x\ty", "b": 'say "hi"'}]),
        ('a,b\n"two\nlines",2', [{"a": "two\nlines", "b": "2"}]),
        ("text\nonly one", [{"text": "only one"}]),
        ('{"a": 1}\n\n{"b": [2]}', [{"a": 1}, {"b": [2]}]),
        ('"x"\n"y"', [{"text": "x"}, {"text": "y"}]),
        ('[{"a": 1}, "x"]', [{"a": 1}, {"text": "x"}]),
    ],
)
def test_rows_are_read(call: Callable[..., Any], text: str, rows: list[dict[str, Any]]) -> None:
    assert call("rows.js", "readRows", text)["rows"] == rows


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there are no rows yet"),
        ("a,b", "there is a head and no row"),
        ("a,b\n1,2\n3", "row 2 has 1 values, the head has 2"),
        ('a\n"never', "a quoted value never ends"),
        ('{"a": 1}\n{', "line 2 is no JSON"),
    ],
)
def test_what_is_wrong_with_rows_is_told(call: Callable[..., Any], text: str, told: str) -> None:
    assert told in call("rows.js", "readRows", text)["error"]


def test_components_are_those_of_numpy(call: Callable[..., Any]) -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 12)) * np.linspace(3, 0.2, 12)
    found = call("vectors.js", "principal", vectors.tolist())
    left, singular, _ = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    expected = left[:, :2] * singular[:2]

    points = np.array([[one["0"], one["1"]] if isinstance(one, dict) else one for one in found["points"]])
    np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-4)
    np.testing.assert_allclose(found["shares"], (singular**2 / (singular**2).sum())[:2], atol=1e-6)


@pytest.mark.parametrize("vectors", [[[1.0, 2.0]], [[1.0, 2.0]] * 5, [[0.0, 0.0, 0.0]] * 3])
def test_equal_vectors_have_components_too(call: Callable[..., Any], vectors: list[list[float]]) -> None:
    found = call("vectors.js", "principal", vectors)

    assert np.isfinite(np.array(found["shares"], float)).all()
    assert len(found["points"]) == len(vectors)


def test_quantiles_are_of_what_happened_in_between(call: Callable[..., Any]) -> None:
    def text(low: int, high: int) -> str:
        return "".join(
            f'h_bucket{{le="{le}",route="/a\\"b"}} {count}\n'
            for le, count in (("0.1", low), ("0.2", high), ("+Inf", high))
        )

    before, now = (call("prometheus.js", "parse", one) for one in (text(50, 60), text(50, 160)))
    quantile = call("prometheus.js", "quantile", before, now, "h", 0.5, {})

    assert before["h_bucket"][0]["labels"] == {"le": "0.1", "route": '/a"b'}
    assert quantile == pytest.approx(0.15)
    assert call("prometheus.js", "quantile", now, now, "h", 0.5, {}) is None
    assert call("prometheus.js", "grown", now, before, "h_bucket", {"le": "0.2"}) == 0  # it was started again


def test_a_saved_csv_is_read_again(call: Callable[..., Any]) -> None:
    rows = [["a,b", 'say "hi"', "two\nlines"], ["", "1.5", "x"]]
    saved = call("save.js", "csv", ["x", "y", "z"], rows)

    assert [list(row.values()) for row in call("rows.js", "readRows", saved)["rows"]] == rows


def test_markup_in_a_card_stays_text(page: Any) -> None:
    shown = page.evaluate(
        """async (text) => {
          const { markdown } = await import("/page/markdown.js");
          const made = markdown(text);
          const parts = [...made.querySelectorAll("code, strong, li, td, th, pre")];
          return [made.innerText, made.querySelectorAll("img, a, script").length,
            parts.map((one) => one.textContent)];
        }""",
        CARD,
    )

    assert "<img src=x onerror=alert(1)>" in shown[0]
    assert shown[1] == 0
    assert {"b", "c", "d", "f", "g", "h", "i = {\n  k"} <= {*shown[2]}
