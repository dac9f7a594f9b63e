"""The whole suite on a tiny bundle: from disk and over real HTTP, to figures, JSON and a page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tiny
from running import serving
from typer.testing import CliRunner, Result

from bundle import publish
from encodery.cli import app
from training.errors import ServerError
from training.published import Published
from training.svg import decades, scatter, steps
from training.text.suite.command import Comparison, run
from training.text.suite.maps import map_of
from training.text.suite.page import page
from training.text.suite.probe import GRADIENT, L2
from training.text.suite.results import Results, report
from training.text.suite.subjects import published as published_at
from training.text.suite.task import LabelledTexts, TaskDescription

HTTP_TOLERANCE = 1e-6  # the same graph, in other batches


@pytest.fixture(scope="module")
def found(sets: Path, published: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    """One run on the tiny bundle, and where it wrote."""
    out = tmp_path_factory.mktemp("out")
    return run(Comparison("text", Published(published)), data=sets, split="dev", out=out), out


@pytest.fixture(scope="module")
def url(published: Path) -> Iterator[str]:
    with serving(published) as base:
        yield base


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", "text", *map(str, arguments)])


def test_every_figure_is_there_at_every_length(found: tuple[Results, Path]) -> None:
    results, _ = found
    names = {
        "graded": {"spearman", "spearman, typos"},
        "found": {"ndcg@10", "mrr@10", "hit@1", "recall@10", "recall@100", "ndcg@10, typos"},
        "intents": {"accuracy"},
        "spoken": {"accuracy"},
        "titles": {"v_measure"},
    }

    expected = {(task, name, "text", dim) for task in names for name in names[task] for dim in (8, 4)}
    expected |= {("found", name, "bm25", None) for name in names["found"]}
    assert {(row.task, row.figure, row.encoder, row.dimension) for row in results.figures} == expected
    assert len(results.figures) == len(expected)
    assert all(0 <= row.value <= 1 for row in results.figures)


def test_figures_are_those_of_data_that_words_tell_apart(found: tuple[Results, Path]) -> None:
    """Labels share no word, so anything that reads words must do well; BM25 cannot tell order."""
    value = {(row.task, row.figure, row.dimension): row.value for row in found[0].figures}

    assert value["intents", "accuracy", 8] > 0.9
    assert value["titles", "v_measure", 8] > 0.5
    assert value["graded", "spearman", 8] > 0.5
    assert value["found", "recall@10", 8] > 0.9
    assert value["found", "recall@10", None] > 0.9


def test_results_json_keeps_its_form(found: tuple[Results, Path]) -> None:
    results, out = found
    content = json.loads((out / "results.json").read_text())

    assert list(content) == [
        *(
            "schema_version",
            "suite",
            "split",
            "created",
            "machine",
            "encoders",
            "tasks",
            "without",
            "figures",
            "worst",
        )
    ]
    assert list(content["encoders"][0]) == [
        *(
            "name",
            "version",
            "space",
            "source",
            "dimensions",
            "texts",
            "seconds",
            "zero_vectors",
            "texts_per_s",
        )
    ]
    assert list(content["tasks"][0]) == [
        *("name", "kind", "split", "size", "sha256", "headline", "judged", "is_small", "notes")
    ]
    assert list(content["figures"][0]) == [
        *("task", "kind", "figure", "encoder", "dimension", "value", "standard_error", "chosen")
    ]
    assert (content["schema_version"], content["split"], content["without"]) == (2, "dev", {})
    probes = [row["chosen"] for row in content["figures"] if row["figure"] == "accuracy"]
    assert {row["l2"] for row in probes} <= set(L2)
    assert all(row["gradient"] <= GRADIENT for row in probes)
    assert content["figures"] == [asdict(row) for row in results.figures]


def test_a_second_run_finds_the_same(
    found: tuple[Results, Path], sets: Path, published: Path, tmp_path: Path
) -> None:
    again = run(Comparison("text", Published(published)), data=sets, split="dev", out=tmp_path)

    assert again.figures == found[0].figures
    assert again.tasks == found[0].tasks


@pytest.mark.e2e
def test_a_server_gets_the_figures_of_its_bundle(
    found: tuple[Results, Path], sets: Path, url: str, tmp_path: Path
) -> None:
    over_http = run(Comparison("text", Published(tmp_path, url)), data=sets, split="dev", out=tmp_path)

    def values(results: Results) -> dict[tuple[str, str, int | None], float]:
        return {(row.task, row.figure, row.dimension): row.value for row in results.figures}

    assert values(over_http) == pytest.approx(values(found[0]), abs=HTTP_TOLERANCE)
    assert over_http.encoders[0].source == "server"
    assert over_http.encoders[0].space == found[0].encoders[0].space


def test_too_few_are_marked_wherever_a_figure_is_shown(found: tuple[Results, Path]) -> None:
    """54 pairs, about 30 queries, 72 and 30 texts, about 60 titles: too few but for the queries."""
    results, out = found
    text, shown = (out / "results.html").read_text(), report(results)

    small = {task.name: task.judged for task in results.tasks if task.is_small}
    assert set(small) >= {"graded", "intents", "spoken", "titles"}
    for name, judged in small.items():
        assert f"{name} (few)" in shown
        assert f"(few) {name} has only {judged} to judge by, fewer than" in shown
        assert f"{name} (few)" in text
        assert f"(few) {name} has only {judged} to judge by" in text


@pytest.mark.e2e
def test_a_server_without_the_model_says_so(url: str, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="404"):
        published_at(Published(tmp_path, url), "absent")
    with pytest.raises(ServerError, match="does not tell of version 9"):
        published_at(Published(tmp_path, url), "text", "9")


def test_another_model_stands_beside_it(sets: Path, models: Path, tmp_path: Path) -> None:
    publish(models, [tiny.text_draft("other", seed=3)])

    result = evaluate(
        "text", "--data", sets, "--models-dir", models, "--baseline", "other", "--out", tmp_path
    )

    assert result.exit_code == 0, result.output
    head = result.stdout.splitlines()[1].split()
    assert head == ["task", "figure", "text", "other", "bm25", "of", "other", "of", "bm25"]
    assert "split dev (the test split was not looked at)" in result.stdout
    assert "other 8" not in result.stdout
    assert (tmp_path / "results.html").exists()


def test_a_bundle_with_statistics_of_words_is_mixed_with_them(
    sets: Path, models: Path, tmp_path: Path
) -> None:
    """The column is the ranking by POST /score with `mix`, of the same texts."""
    publish(models, [replace(tiny.text_draft(), lexical=tiny.lexical())])
    comparison = Comparison("text", Published(models), dimensions=[8])

    results = run(comparison, data=sets / "found", split="dev", out=tmp_path)

    [task] = results.tasks
    found = results.of(task, "ndcg@10")
    assert set(found) == {("text", 8), ("text mix", None), ("bm25", None)}
    mix, dense, words = found["text mix", None], found["text", 8], found["bm25", None]
    assert min(dense.value, words.value) < mix.value <= 1
    assert "text mix" in report(results)


def test_the_test_split_is_read_when_it_is_asked_for(sets: Path, published: Path, tmp_path: Path) -> None:
    result = evaluate(
        *("text", "--data", sets / "graded", "--models-dir", published, "--split", "test", "--out", tmp_path)
    )

    assert "split test" in result.stdout
    assert "graded-test.csv" in result.stdout
    assert json.loads((tmp_path / "results.json").read_text())["split"] == "test"


def test_only_the_lengths_asked_for_are_measured(sets: Path, published: Path, tmp_path: Path) -> None:
    comparison = Comparison("text", Published(published), dimensions=(8,))

    results = run(comparison, data=sets / "graded", split="dev", out=tmp_path)

    assert {row.dimension for row in results.figures} == {8}
    assert "cut to fewer" not in report(results)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["text", "--split", "train"], "--split is 'train'; it must be dev or test"),
        (["text", "--dimensions", "5"], "--dimensions 5: text was trained for 8, 4"),
        (["text", "--baseline", "text"], "compare a model with itself"),
        (["shop-user"], "shop-user encodes features, and the suite is about texts"),
        (["absent"], "there is no model absent"),
        (["text", "--teacher", "package:absent_teacher"], "absent_teacher' is not installed"),
    ],
)
def test_a_mistake_is_one_sentence(sets: Path, published: Path, arguments: list[str], complaint: str) -> None:
    result = evaluate(*arguments, "--data", sets, "--models-dir", published)

    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1


class Links(HTMLParser):
    """Collects whatever a browser would fetch or run, and checks that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [
            f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset", "xlink:href")
        ]


def test_the_page_needs_nothing_but_itself(found: tuple[Results, Path]) -> None:
    text = (found[1] / "results.html").read_text()
    links = Links()
    links.feed(text)

    assert links.fetched == []
    assert not links.tags & {"script", "link", "img", "iframe"}
    assert "svg" in links.tags
    assert not re.search(r"https?://|url\(|@import", text)


def test_the_page_escapes_what_comes_from_the_data(found: tuple[Results, Path]) -> None:
    """One label of the generated sets is <cats>."""
    text = (found[1] / "results.html").read_text()

    assert "&lt;cats&gt;" in text
    assert "<cats>" not in text
    assert "<script" not in scatter([(0.0, 0.0)], ["<script>"], ["<script>alert(1)</script>"])
    odd = replace(found[0], machine="<b>", tasks=[replace(one, size="<i>") for one in found[0].tasks])
    assert not re.search("<b>|<i>", page(odd, []))


def test_a_map_shows_the_most_frequent_labels() -> None:
    labels = [f"l{number % 14}" for number in range(2800)] + ["l3"] * 10
    examples_ = LabelledTexts([f"text {number}" for number in range(2810)], labels)
    about = TaskDescription("set", "clustering", "", "", "", "v_measure", 2810, is_small=False)

    drawn = map_of(about, examples_, lambda texts: np.random.default_rng(0).normal(size=(len(texts), 3)))

    assert (len(drawn.examples.texts), len(set(drawn.examples.labels)), drawn.labels) == (1200, 10, 14)
    assert "l3" in drawn.examples.labels
    assert np.abs(drawn.places).max() == pytest.approx(1.0)


def test_axes_have_round_steps() -> None:
    assert steps(0.81, 0.856) == [0.81, 0.82, 0.83, 0.84, 0.85]
    assert list(decades([10004.0])) == [10000.0, 30000.0]
    assert list(decades([130.0, 9500.0])) == [100.0, 300.0, 1000.0, 3000.0, 10000.0]
