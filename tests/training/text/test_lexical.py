"""Statistics of words: in the bundle of every text run, and added to one that has none."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_training
from typer.testing import CliRunner

from bundle import Draft, Manifest, Store, Text, publish
from bundle.lexical import LEXICAL
from bundle.preprocess.text import TextPreprocessor
from encodery.cli import app
from training.errors import ConfigError
from training.text.data.examples import TextExamples
from training.text.data.readers import Labelled, Pairs, ScoredPairs, Triplets
from training.text.lexical import PASSAGE, lexical_of
from training.text.suite.bm25 import BM25
from training.text.task import TextTask

TOML = """
kind = "text"
name = "tiny"
description = "a tiny encoder for tests"
[data]
pairs = ["pairs.tsv.gz"]
pair_sources = ["made"]
[loss.infonce]
[train]
epochs = 1
metric = "spearman"
"""


@pytest.fixture(scope="module")
def draft(data: Path) -> Draft:
    """Of a run that was not trained: words are counted all the same."""
    task = TextTask(tiny_training.text_run(), data)
    task.encoders()
    [found] = task.drafts({})
    return found


def texts_of(data: Path) -> list[str]:
    task = TextTask(tiny_training.text_run(), data)
    return list(dict.fromkeys(task._examples.all_texts()))


def test_a_run_counts_in_how_many_of_its_texts_each_word_is(draft: Draft, data: Path, tmp_path: Path) -> None:
    [manifest] = publish(tmp_path, [draft])
    encoder, texts = Store(tmp_path).load("tiny"), texts_of(data)

    lexical = encoder.lexical
    assert lexical is not None
    assert LEXICAL in manifest.files
    frequencies = Counter(word for text in texts for word in set(re.findall(r"\w+", text.lower())))
    for word in ("ship", "violin", "the"):
        [prepared] = encoder.prepare([Text(word)])
        [row] = encoder.preprocessor.terms(prepared)  # type: ignore[attr-defined]  # of texts
        assert lexical.document_frequencies[row] == frequencies[word], word
    assert (lexical.texts, lexical.mean_length) == (len(texts), PASSAGE)
    assert manifest.trained.metrics == {}
    assert "`lexical.json` has how many of" in draft.card


def test_its_sparse_vectors_rank_as_bm25_does(draft: Draft, data: Path, tmp_path: Path) -> None:
    """By the mean length of the run's own texts; the terms are the words of its tokenizer."""
    publish(tmp_path, [draft])
    encoder, texts = Store(tmp_path).load("tiny"), texts_of(data)
    assert encoder.lexical is not None
    terms = [encoder.preprocessor.terms(one) for one in encoder.prepare(list(map(Text, texts)))]  # type: ignore[attr-defined]  # of texts
    encoder.lexical = replace(encoder.lexical, mean_length=float(np.mean([len(one) for one in terms])))
    words = [" ".join(f"w{one}" for one in row) for row in terms]

    [query] = encoder.encode_sparse([Text(texts[0])], "query")
    found = [query @ one for one in encoder.encode_sparse(list(map(Text, texts)), "document")]

    np.testing.assert_allclose(found, BM25(words).scores(words[0]), rtol=1e-6)


def without_words(draft: Draft) -> Draft:
    return replace(draft, lexical=None, card=draft.card.partition("## Words")[0])


def lexical(models: Path, data: Path, config: Path) -> str:
    arguments = ["lexical", str(config), "--data", str(data), "--models-dir", str(models)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_bundle_gets_statistics_and_keeps_its_vectors(draft: Draft, data: Path, tmp_path: Path) -> None:
    models, config = tmp_path / "models", tmp_path / "tiny.toml"
    config.write_text(TOML)
    [before] = publish(models, [without_words(draft)])

    said = [lexical(models, data, config) for _ in range(2)]

    old, new, again = (Store(models).load("tiny", version) for version in "123")
    assert (old.lexical, new.manifest.space) == (None, before.space)
    assert new.lexical is not None
    assert draft.lexical is not None
    assert new.lexical.to_bytes() == draft.lexical.to_bytes()
    same = ("trained", "parity", "dimensions", "max_length", "description")
    assert all(getattr(new.manifest, name) == getattr(before, name) for name in same)
    assert again.sparse_space == new.sparse_space
    assert (models / "tiny" / "3" / "README.md").read_text().count("## Words") == 1
    assert Store(models).current("tiny") == "3"
    assert f"published tiny/2, space {before.space} as before" in said[0]


def test_encoders_of_one_space_are_published_together_again(draft: Draft, data: Path, tmp_path: Path) -> None:
    models, config = tmp_path / "models", tmp_path / "tiny.toml"
    config.write_text(TOML)
    drafts: list[Draft] = [without_words(draft), tiny.text_draft("other", dim=8)]
    before: list[Manifest] = publish(models, drafts)

    lexical(models, data, config)

    after = [Store(models).load(name) for name in ("tiny", "other")]
    assert [one.manifest.space for one in after] == [one.space for one in before]
    assert [one.manifest.version for one in after] == ["2", "2"]
    assert all(one.lexical is not None for one in after)


def test_texts_without_a_word_give_no_statistics() -> None:
    none = np.zeros(0, np.int64)
    blank = TextExamples(
        [[" "]],
        Pairs([], []),
        Triplets([], [], []),
        ScoredPairs([], [], none.astype(np.float64)),
        Labelled([], none, []),
    )
    preprocessor = TextPreprocessor(tiny.tokenizer_json(), tiny.MAX_LENGTH)

    with pytest.raises(ConfigError, match="no text with a word"):
        lexical_of(preprocessor, blank)
