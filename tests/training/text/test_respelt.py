"""A published text encoder that reads misspelt words from now on, and what joins its space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import tiny_training

from bundle import ManifestError, Store, Text, publish
from bundle.lineage import origin_of
from bundle.manifest import Joined, Manifest
from bundle.preprocess.text import TextPreprocessor
from bundle.publish import Draft
from encodery.cli import main
from training.errors import ConfigError
from training.text.parity import SLIPS
from training.text.respelt import publish_respelt
from training.text.task import TextTask

CARD = "# text\n\n## Made by\n\nus"


def draft(name: str, **changes: Any) -> Draft:
    tokenizer = tiny.word_piece_json()
    words = TextPreprocessor(tokenizer, 16).vocabulary
    table = np.random.default_rng(0).normal(size=(words, tiny.DIM)).astype(np.float32)
    return tiny.text_draft(name, preprocessor=tokenizer, table=table, card=CARD, **changes)


def joined(one: Manifest) -> Joined:
    return Joined(name=one.name, version=one.version, space=one.space)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """`query` joins `text`, and `image` joins `query`."""
    (text,) = publish(tmp_path, [draft("text")])
    (query,) = publish(tmp_path, [draft("query", joins=joined(text), max_length=15)])
    publish(tmp_path, [tiny.image_draft("image", joins=joined(query), card=CARD)])
    return Store(tmp_path)


def test_slips_have_the_vectors_of_what_was_meant_and_all_else_its_own(store: Store) -> None:
    before = store.load("text")
    (manifest,) = publish_respelt(store, ["text"])
    after = store.load("text", manifest.version)
    texts = [Text(text) for text in tiny.TEXTS]

    assert np.array_equal(before.encode(texts), after.encode(texts))
    assert np.array_equal(before.encode([Text("the cat")]), after.encode([Text("teh cat")]))
    assert manifest.space != before.manifest.space
    assert SLIPS in store.read("text", manifest.version).files["golden.json"].decode()


def test_what_joins_follows(store: Store) -> None:
    text, query, image = publish_respelt(store, ["text", "query", "image"])

    assert (query.joins, image.joins) == (joined(text), joined(query))
    assert image.space == store.manifest("image", "1").space


def test_the_card_says_so_and_where_it_is_from(store: Store) -> None:
    (manifest,) = publish_respelt(store, ["text"])
    card = store.read("text", manifest.version).files["README.md"]

    assert b"`respelt`" in card
    assert card.endswith(b"us")
    start = origin_of(card).start
    assert start is not None
    assert (start.name, start.version) == ("text", "1")


@pytest.mark.parametrize("names", [["image"], ["text", "text"], ["query", "image", "query"]])
def test_what_would_stay_as_it_is_is_refused(store: Store, names: list[str]) -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        publish_respelt(store, names)


def test_a_pair_is_refused(store: Store) -> None:
    publish(store.root, tiny.pair_drafts())

    with pytest.raises(ConfigError, match="one of a pair"):
        publish_respelt(store, ["shop-user"])


def test_a_vocabulary_that_does_not_tell_words_is_refused(tmp_path: Path) -> None:
    publish(tmp_path, [tiny.text_draft(card=CARD)])

    with pytest.raises(ManifestError, match="leave respell out"):
        publish_respelt(Store(tmp_path), ["text"])


def test_the_command_tells_the_new_spaces(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models", "respell", "text", "--models-dir", str(store.root)])

    assert ended.value.code == 0
    assert store.manifest("text", "2").space in capsys.readouterr().out


@pytest.mark.parametrize(("wanted", "rule"), [(None, 0), (False, 0), (True, 1)])
def test_a_run_trains_by_the_rule_that_its_bundle_will_have(
    tmp_path: Path, wanted: bool | None, rule: int
) -> None:
    vocabulary = {"size": 200, "max_length": 32, "respell": wanted}
    data = tiny_training.write_data(tmp_path)
    task = TextTask(tiny_training.text_run(vocabulary=vocabulary), data)
    draft = task.drafts({})[0]

    assert (task.respell, draft.respell) == (rule, rule)
