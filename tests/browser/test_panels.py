"""Each panel, used as a person would, wide and narrow, light and dark; it shows what the routes say."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from running import ROOT

TEXTS = ["Where is my parcel?", "My delivery has not arrived.", "a red lamp"]
BUSY = """() => [...document.querySelectorAll(".tile")].some((one) =>
  one.innerText.startsWith("inputs a second") && parseFloat(one.querySelector("strong").innerText) > 1)"""
CATALOGUE = """stock,id,description,price,title
1,85123A,WHITE HANGING HEART T-LIGHT HOLDER,2.55,A holder
2,71053,WHITE METAL LANTERN,3.39,A lantern
3,22697,GREEN REGENCY TEACUP AND SAUCER,2.95,"A cup, green"
4,NEW-1,REGENCY TEA PLATE PINK,1.65,A plate
"""


def post(url: str, route: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(url + route, json=body, trust_env=False)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def unit(vectors: Any) -> Any:
    vectors = np.asarray(vectors)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def click(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def rows(page: Any, caption: str) -> list[list[str]]:
    found = page.locator(f"table:has(caption:text-is('{caption}')) tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in found]


def numbers(page: Any, at: int = 0) -> Any:
    page.locator("figure.vector summary").nth(at).click()
    return np.array(page.locator("figure.vector pre").nth(at).inner_text().split(), float)


def test_texts_are_encoded(visit: Callable[..., Any], bundled: str, look: str) -> None:
    page = visit(bundled, look)
    page.get_by_label("Texts, one a line").fill("\n".join(TEXTS))
    page.get_by_label("Dimensions").select_option("256")
    click(page, "Encode")
    page.get_by_text("No warnings.").wait_for()
    expected = post(bundled, "encode", {"inputs": TEXTS, "dimensions": 256})

    assert page.locator("figure.vector").count() == len(TEXTS)
    np.testing.assert_allclose(numbers(page, 1), expected["embeddings"][1], atol=1e-4)
    assert expected["space"] in page.locator("dl.facts").inner_text()


def test_the_programs_do_the_same_request(visit: Callable[..., Any], bundled: str) -> None:
    """Run as they are copied, each that has what it needs here."""
    page = visit(bundled)
    page.get_by_label("Texts, one a line").fill('It\'s "here"\n🙂 ä')
    page.get_by_label("Dimensions").select_option("256")
    page.get_by_label("Too long?").select_option("end")
    click(page, "Encode")
    page.get_by_role("tab", name="curl").wait_for()
    runners = {
        "curl": lambda text: ["sh", "-c", text],
        "Python": lambda text: [sys.executable, "-c", text],
        "JavaScript": lambda text: ["node", "--input-type=module", "-e", text],
    }
    printed = {}
    for name, runner in runners.items():
        page.get_by_role("tab", name=name).click()
        text = page.locator(f"pre[aria-label='{name}']").inner_text()
        command = runner(text)
        if shutil.which(command[0]):
            environment = os.environ | {"PYTHONPATH": str(ROOT / "clients" / "python"), "NO_PROXY": "*"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (name, text, done.stderr)
            printed[name] = done.stdout
    page.get_by_role("tab", name="OpenAI client").click()
    openai = page.locator("pre[aria-label='OpenAI client']").inner_text()
    space = post(bundled, "encode", {"inputs": "a", "dimensions": 256})["space"]

    assert "(2, 256)" in printed["Python"]
    assert all(space in printed[name] for name in ("curl", "JavaScript") if name in printed)
    assert "dimensions=256" in openai
    compile(openai, "openai", "exec")


def test_what_is_wrong_is_told_in_the_servers_words(
    visit: Callable[..., Any], bundled: str, look: str
) -> None:
    page = visit(bundled, look, expected="422")
    page.get_by_label("Texts, one a line").fill(
        "word " * 700 + "\nDies ist ein deutscher Satz über das Wetter"
    )
    click(page, "Encode")
    assert "700 tokens" in page.get_by_role("alert").inner_text()
    page.get_by_label("Too long?").select_option("end")
    click(page, "Encode")
    told = page.get_by_label("Warnings").inner_text()

    assert "input 1: text was cut: 700 tokens, the limit is 512" in told
    assert "input 2: it seems to be in a language" in told


def test_features_have_a_form_of_their_own(visit: Callable[..., Any], bundled: str, look: str) -> None:
    page = visit(bundled, look)
    page.get_by_label("Model", exact=True).select_option("retail-user")
    page.get_by_label("country").fill("France")
    page.get_by_label("history").fill('22423\n{"id": "22699", "time": "2011-11-02T10:00:00Z"}\nnobody')
    click(page, "Encode")
    told = page.get_by_label("Warnings").inner_text()
    given = {
        "country": "France",
        "history": ["22423", {"id": "22699", "time": "2011-11-02T10:00:00Z"}, "nobody"],
    }
    expected = post(bundled, "encode", {"model": "retail-user", "inputs": [given]})
    shown = numbers(page)
    page.get_by_label("as JSON").check()
    as_json = page.get_by_label("JSON: an object, or a list of objects").input_value()
    page.get_by_label("as JSON").uncheck()

    np.testing.assert_allclose(shown, expected["embeddings"][0], atol=1e-4)
    assert "entries that are not known, and were skipped: 3" in told
    assert '"country": "France"' in as_json
    assert page.get_by_label("country").input_value() == "France"


def test_the_form_begins_with_the_models_examples(visit: Callable[..., Any], bundled: str) -> None:
    page = visit(bundled)
    page.get_by_label("Model", exact=True).select_option("retail-item")
    page.get_by_label("Examples").select_option(label="Example 2")
    click(page, "Encode")
    page.locator("figure.vector").wait_for()
    examples = httpx.get(f"{bundled}models/retail-item/schema", trust_env=False).json()["examples"]
    second = [one for one in examples if one][1]
    expected = post(bundled, "encode", {"model": "retail-item", "inputs": [second]})

    assert page.get_by_label("description").input_value() == second["description"]
    np.testing.assert_allclose(numbers(page), expected["embeddings"][0], atol=1e-4)


def test_each_is_compared_with_each(visit: Callable[..., Any], bundled: str, look: str) -> None:
    page = visit(f"{bundled}#compare", look)
    page.get_by_label("Texts, one a line").fill("\n".join(TEXTS))
    click(page, "Compare")
    page.get_by_role("heading", name="Cosines").wait_for()
    vectors = unit(post(bundled, "encode", {"inputs": TEXTS})["embeddings"])

    shown = np.array([[float(cell) for cell in row[1:]] for row in rows(page, "How alike each pair is")])
    np.testing.assert_allclose(shown, vectors @ vectors.T, atol=0.006)


def test_texts_are_ranked_by_words_and_vectors(visit: Callable[..., Any], bundled: str, look: str) -> None:
    page = visit(f"{bundled}#compare", look)
    page.get_by_role("tab", name="A query against a list").click()
    page.get_by_label("Text", exact=True).fill("error E1043 at startup")
    texts = ["The program does not start", "E1043: the licence has ended", "Opening hours"]
    page.get_by_label("Texts, one a line").fill("\n".join(texts))
    page.get_by_label("Words beside vectors (mix)").fill("0.4")
    click(page, "Rank")
    page.get_by_role("heading", name="The best 3 of 3").wait_for()
    expected = post(bundled, "score", {"query": "error E1043 at startup", "candidates": texts, "mix": 0.4})

    assert [row[0] for row in rows(page, "Ranking")] == [texts[one["index"]] for one in expected["results"]]
    assert [row[2] for row in rows(page, "Ranking")] == [f"{one['score']:.3f}" for one in expected["results"]]


def test_a_users_history_ranks_a_catalogue_by_its_titles(
    visit: Callable[..., Any], bundled: str, look: str, tmp_path: Path
) -> None:
    file = tmp_path / "catalogue.csv"
    file.write_text(CATALOGUE)
    page = visit(f"{bundled}#compare", look)
    page.get_by_role("tab", name="A query against a list").click()
    page.get_by_label("The query's model").select_option("retail-user")
    page.get_by_label("history").fill("22423\n22699\n22720")
    page.get_by_label("country").fill("France")
    page.get_by_label("or a file").set_input_files(file)
    click(page, "Rank")
    page.get_by_role("heading", name="The best 4 of 4").wait_for()
    found = list(csv.DictReader(io.StringIO(CATALOGUE)))
    items = [
        {"id": one["id"], "description": one["description"], "price": float(one["price"])} for one in found
    ]
    query = {"country": "France", "history": ["22423", "22699", "22720"]}
    expected = post(bundled, "score", {"model": "retail-user", "query": query, "candidates": items})

    shown = rows(page, "Ranking")
    assert [row[2] for row in shown] == [f"{one['score']:.3f}" for one in expected["results"]]
    for row, one in zip(shown, expected["results"], strict=True):
        assert found[one["index"]]["title"] in row[0]
    assert "never saw: id" in page.get_by_label("Warnings").inner_text()


@pytest.fixture
def many(tmp_path: Path) -> tuple[Path, list[str]]:
    """A file of 300 rows; the texts of those that can be encoded."""
    words = ["lamp", "parcel", "account", "refund", "colour", "password"]
    texts = [f"{words[at % 6]} number {at}, {words[(at * 5 + 1) % 6]}" for at in range(300)]
    lines = [{"text": text, "word": words[at % 6]} for at, text in enumerate(texts)]
    lines[7]["text"] = ""
    file = tmp_path / "rows.csv"
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, ["text", "word"])
        writer.writeheader()
        writer.writerows(lines)
    return file, [text for at, text in enumerate(texts) if at != 7]


def test_rows_become_a_map(
    visit: Callable[..., Any], bundled: str, look: str, many: tuple[Path, list[str]], tmp_path: Path
) -> None:
    file, texts = many
    page = visit(f"{bundled}#map", look)
    page.get_by_label("or a file").set_input_files(file)
    page.get_by_label("Colour by").select_option("word")
    click(page, "Encode and draw")
    canvas = page.locator("canvas.map")
    canvas.wait_for()
    assert "row 8: the text is empty" in page.locator("main").inner_text()
    assert page.get_by_label("Colours").locator("li").count() == 6

    expected = np.vstack(
        [post(bundled, "encode", {"inputs": texts[at : at + 100]})["embeddings"] for at in (0, 100, 200)]
    )
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.get_by_role("heading", name=texts[1]).wait_for()
    cosines = unit(expected) @ unit(expected)[1]
    nearest = [texts[at] for at in np.argsort(-cosines) if at != 1][:10]
    assert [row[0] for row in rows(page, "Nearest neighbours")] == nearest

    with page.expect_download() as saved:
        click(page, "Save vectors (npy)")
    saved.value.save_as(tmp_path / "vectors.npy")
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), expected, atol=1e-5)

    before = np.array(saved_points(page, tmp_path))
    centred = unit(expected) - unit(expected).mean(axis=0)
    singular = np.linalg.svd(centred, compute_uv=False)[:2]
    np.testing.assert_allclose(np.linalg.norm(before, axis=0), singular, rtol=2e-2)

    click(page, "Draw by UMAP")
    page.get_by_text("UMAP: near points are near").wait_for()
    after = np.array(saved_points(page, tmp_path))
    assert np.isfinite(after).all()
    assert kept(unit(expected), after) > kept(unit(expected), before)


def saved_points(page: Any, tmp_path: Path) -> list[tuple[float, float]]:
    with page.expect_download() as saved:
        click(page, "Save CSV")
    saved.value.save_as(tmp_path / "map.csv")
    with (tmp_path / "map.csv").open() as opened:
        return [(float(row["x"]), float(row["y"])) for row in csv.DictReader(opened)]


def kept(vectors: Any, points: Any, count: int = 10) -> float:
    """Of the nearest in the space, how many are near on the map as well."""

    def near(rows: Any) -> Any:
        distances = ((rows[:, None] - rows[None]) ** 2).sum(-1)
        np.fill_diagonal(distances, np.inf)
        return np.argsort(distances, axis=1)[:, :count]

    pairs = zip(near(vectors), near(points), strict=True)
    return float(np.mean([len({*one} & {*other}) / count for one, other in pairs]))


def test_a_map_can_be_stopped(visit: Callable[..., Any], bundled: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(f'"{at} {"word " * 400}"' for at in range(5000)))
    page = visit(f"{bundled}#map")
    page.get_by_label("or a file").set_input_files(file)
    click(page, "Encode and draw")
    click(page, "Stop")
    page.get_by_role("button", name="Encode and draw", disabled=False).wait_for()

    assert page.locator("canvas.map").count() == 0
    assert page.get_by_role("progressbar").count() == 0


def test_models_tell_what_they_are(visit: Callable[..., Any], bundled: str, look: str) -> None:
    page = visit(f"{bundled}#models", look)
    card = page.locator("article", has=page.get_by_role("heading", name="text", exact=True))
    card.get_by_text("Versions, limits and figures").click()
    card.get_by_text("512 tokens").wait_for()
    card.get_by_text("The model card").click()
    card.locator(".markdown").wait_for()
    told = card.inner_text()

    assert "spearman stsb, test" in told
    assert re.search(r"0\.769 ± 0\.013\s+teacher 0\.820", told)
    assert "joined text-small's" in told
    assert len(card.locator(".markdown table tr").all()) > 3


def test_two_versions_stand_side_by_side(visit: Callable[..., Any], bundled: str, look: str) -> None:
    page = visit(f"{bundled}#models", look)
    page.get_by_role("tab", name="Two versions side by side").click()
    page.get_by_label("One", exact=True).select_option("text/7")
    page.get_by_label("The other").select_option("text-small/3")
    page.get_by_label("Texts, one a line").wait_for()
    click(page, "Compare")
    page.get_by_role("heading", name="nearest are the same").wait_for()
    texts = page.get_by_label("Texts, one a line").input_value().splitlines()
    one, other = (
        unit(post(bundled, "encode", {"model": name, "inputs": texts})["embeddings"])
        for name in ("text", "text-small")
    )

    def near(vectors: Any) -> list[set[int]]:
        return [{*np.argsort(-(row + 0 * at))[1:11]} for at, row in enumerate(vectors @ vectors.T)]

    overlap = np.mean([len(a & b) / 10 for a, b in zip(near(one), near(other), strict=True)])
    heading = page.get_by_role("heading", name="nearest are the same").inner_text()
    assert heading.startswith(f"{round(100 * overlap)} % of the 10 nearest")
    assert len(rows(page, "What moved")) == len(texts)
    assert "of one space" in page.locator("main").inner_text()


def test_now_tells_what_happens(visit: Callable[..., Any], bundled: str, look: str) -> None:
    page = visit(f"{bundled}#now", look)
    page.get_by_role("heading", name="By model, since this panel was opened").wait_for()
    is_over = threading.Event()

    def ask() -> None:
        request = urllib.request.Request(
            f"{bundled}encode", b'{"inputs": ["a", "b"]}', {"Content-Type": "application/json"}
        )
        while not is_over.is_set():
            urllib.request.urlopen(request).read()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        page.wait_for_function(BUSY)
    finally:
        is_over.set()
        asking.join()
    [text] = [row for row in rows(page, "By model") if row[0] == "text 7"]

    assert int(text[1].replace(",", "")) > 2
    assert float(text[3]) > 0
    assert "one process serves" in page.locator("main").inner_text()
