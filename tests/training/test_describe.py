"""A published encoder described anew: the same vectors and space, another version and card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from bundle import Store, Text, publish
from bundle.manifest import Manifest, Metric, reported
from encodery.cli import main
from training.card import metrics_table
from training.describe import described, figures_of
from training.errors import ConfigError


def results(path: Path, space: str, **changes: Any) -> Path:
    row = {"task": "faq", "kind": "retrieval", "figure": "ndcg@10", "standard_error": 0.01}
    encoders = [
        {"name": "text", "dimensions": [4, 2], "space": space, "source": "bundle"},
        {"name": "all-minilm", "dimensions": [8], "space": "", "source": "teacher"},
    ]
    content = {
        "schema_version": 2,
        "split": "test",
        "encoders": encoders,
        "tasks": [{"name": "faq", "kind": "retrieval", "headline": "ndcg@10"}],
        "figures": [
            row | {"encoder": "text", "dimension": 4, "value": 0.61},
            row | {"encoder": "text", "dimension": 2, "value": 0.5},
            row | {"encoder": "text", "dimension": 4, "value": 0.4, "figure": "hit@1"},
            row | {"encoder": "all-minilm", "dimension": 8, "value": 0.7},
            row | {"encoder": "bm25", "dimension": None, "value": 0.65},
        ],
    }
    path.write_text(json.dumps(content | changes))
    return path


@pytest.fixture
def first(tmp_path: Path) -> Manifest:
    trained = tiny.TRAINED.model_copy(update={"metrics": {"spearman dev": Metric(value=0.84)}})
    (manifest,) = publish(
        tmp_path / "models", [tiny.text_draft(trained=trained, card="# text\n\n## Made by\n\nus")]
    )
    return manifest


def test_figures_stand_in_card_and_manifest(tmp_path: Path, first: Manifest) -> None:
    store = Store(tmp_path / "models")
    path = results(tmp_path / "results.json", first.space)
    draft = described(store, "text", "1", results=[path], languages=["en"], not_for="the law.")
    (second,) = publish(store.root, [draft])
    before, after = store.load("text", "1"), store.load("text", "2")
    texts = [Text(text) for text in tiny.TEXTS]

    assert second.space == first.space
    np.testing.assert_array_equal(before.encode(texts), after.encode(texts))
    assert (second.languages, second.not_for) == (["en"], "the law.")
    figure = second.trained.metrics["ndcg@10 faq, test"]
    assert (figure.value, figure.baselines) == (0.61, {"teacher": 0.7, "bm25": 0.65})
    assert draft.card.index("| ndcg@10 faq, test | 0.6100 ± 0.0100 |") < draft.card.index("| spearman dev |")
    assert "Languages: en." in draft.card
    assert "Not for the law." in draft.card
    assert draft.card.endswith("## Made by\n\nus")


def test_what_is_not_given_stays(tmp_path: Path, first: Manifest) -> None:
    store = Store(tmp_path / "models")
    publish(store.root, [described(store, "text", "1", languages=["en"], not_for="the law.")])
    draft = described(store, "text", "2", languages=["en", "de"])

    assert (draft.languages, draft.not_for) == (["en", "de"], "the law.")
    assert draft.trained.metrics == first.trained.metrics


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoders": []}, "no figures of text/1"),
        ({"schema_version": 1}, "evaluate again"),
        ({"tasks": [{"name": "faq"}]}, "no results.json"),
    ],
)
def test_figures_of_something_else_are_refused(
    tmp_path: Path, first: Manifest, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        figures_of(results(tmp_path / "results.json", first.space, **changes), first)


def test_a_tower_of_a_pair_is_refused(tmp_path: Path) -> None:
    publish(tmp_path, tiny.pair_drafts())
    with pytest.raises(ConfigError, match="one of a pair"):
        described(Store(tmp_path), "shop-user", "1", languages=["en"])


def test_the_command_says_what_it_published(
    tmp_path: Path, first: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results(tmp_path / "results.json", first.space)
    where = ["--models-dir", str(tmp_path / "models")]
    with pytest.raises(SystemExit, match="0"):
        main(["models", "describe", "text", "--results", str(path), "--language", "en", *where])
    assert "text/2, of the same space as text/1" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["models", "describe", "text", *where])


def test_figures_of_test_splits_are_quoted_where_there_are_some() -> None:
    one, error = Metric(value=0.5), Metric(value=0.1)
    metrics = {"a, test": one, "a, test, standard error": error, "a dev": one, "validation a": one}

    assert list(reported(metrics)) == ["a, test", "a, test, standard error"]
    assert list(reported({"a": one, "validation a": one})) == ["a"]
    assert "± 0.1000" in metrics_table(reported(metrics))[2]
