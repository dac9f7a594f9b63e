"""Sparse vectors: their inner product is BM25, and nothing else has a weight."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from bundle import Lexical, ManifestError, SparseVector, Store, Text, publish
from bundle.lexical import LEXICAL, inner_products
from bundle.preprocess.text import TextPreprocessor
from training.text.suite.bm25 import BM25

CLOSE = 1e-6  # float32 weights beside float64 ones, in proportion to the score
VOCABULARY = 12
texts = st.lists(st.integers(0, VOCABULARY - 1), max_size=30)
corpora = st.lists(texts, min_size=1, max_size=8)


def terms(ids: list[int]) -> np.ndarray:
    return np.array(ids, dtype=np.int64)


def words(ids: list[int]) -> str:
    """The same text as words, none of them a stop word."""
    return " ".join(f"w{one}" for one in ids)


@given(corpora, texts)
def test_the_inner_product_of_query_and_document_is_bm25(corpus: list[list[int]], query: list[int]) -> None:
    """Terms that are repeated on either side, empty texts and words that no text has among them."""
    lexical = Lexical.of(map(terms, corpus), VOCABULARY)
    asked = lexical.weigh(terms(query), "query")

    documents = [lexical.weigh(terms(one), "document") for one in corpus]
    found = inner_products(asked, documents)

    np.testing.assert_allclose(found, BM25(map(words, corpus)).scores(words(query)), rtol=CLOSE)
    assert found.tolist() == [asked @ one for one in documents]


@given(corpora, texts, st.sampled_from(["query", "document"]))
def test_weights_are_of_the_text_s_own_terms_and_above_0(corpus: Any, text: list[int], role: Any) -> None:
    row = Lexical.of(map(terms, corpus), VOCABULARY).weigh(terms(text), role)

    assert row.indices.tolist() == sorted(set(text))
    assert (row.indices.dtype, row.values.dtype) == (np.uint32, np.float32)
    assert (row.values > 0).all()


@given(corpora)
def test_the_file_gives_the_statistics_back(corpus: list[list[int]]) -> None:
    lexical = Lexical.of(map(terms, corpus), VOCABULARY)

    found = Lexical.from_bytes(lexical.to_bytes(), VOCABULARY)

    assert found.to_bytes() == lexical.to_bytes()
    assert (found.texts, found.dim) == (len(corpus), VOCABULARY)


def test_by_hand() -> None:
    """Two texts, of 1 and 3 terms; term 0 is in both, term 1 in one of them, twice."""
    lexical = Lexical.of([terms([0]), terms([0, 1, 1])], 3)

    query, document = lexical.weigh(terms([1, 2]), "query"), lexical.weigh(terms([0, 1, 1]), "document")

    # idf: ln(1 + 1.5 / 1.5), ln(1 + 2.5 / .5); k1 (1 - b + b * 3 / 2) = 1.2 * 1.375 = 1.65
    assert query.values.tolist() == pytest.approx([np.log(2), np.log(6)])
    assert document.values.tolist() == pytest.approx([2.2 / 2.65, 2 * 2.2 / 3.65])
    assert query @ document == pytest.approx(np.log(2) * 2 * 2.2 / 3.65)
    assert SparseVector(query.indices[:0], query.values[:0]) @ document == 0.0


def test_neither_special_tokens_nor_the_unknown_one_are_terms() -> None:
    preprocessor = TextPreprocessor(tiny.tokenizer_json(), tiny.MAX_LENGTH)
    [prepared, unheard] = preprocessor.prepare([Text("the unheard cat the"), Text("unheard")])

    assert preprocessor.terms(prepared).tolist() == [1, 3, 1]
    assert preprocessor.terms(unheard).tolist() == []
    assert preprocessor.vocabulary == len(tiny.WORDS)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"document_frequencies": [1, 2]}, "for each of the 14 entries"),
        ({"document_frequencies": [7] * 14}, "at most 6"),
        ({"document_frequencies": [-1] * 14}, "at least 0"),
        ({"mean_length": 0.0}, "mean_length: expected more than 0"),
        ({"b": 1.5}, "b: expected at most 1"),
        ({"texts": 0}, "texts: expected at least 1"),
        ({"words": 1}, "words: is not known here"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_refused(change: dict[str, Any], told: str) -> None:
    content = json.loads(tiny.lexical().to_bytes()) | change

    with pytest.raises(ManifestError, match=told):
        Lexical.from_bytes(json.dumps(content).encode(), len(tiny.WORDS))


def test_statistics_change_no_vector_and_not_its_space(tmp_path: Path) -> None:
    """They are a file of the bundle, and sparse vectors have a space of their own."""
    plain = publish(tmp_path, [tiny.text_draft()])[0]
    counted = publish(tmp_path, [replace(tiny.text_draft(), lexical=tiny.lexical())])[0]
    others = publish(tmp_path, [replace(tiny.text_draft(seed=1), lexical=tiny.lexical())])[0]
    fewer = publish(tmp_path, [replace(tiny.text_draft(), lexical=tiny.lexical(tiny.TEXTS[:2]))])[0]

    encoders = [Store(tmp_path).load("text", one.version) for one in (plain, counted, others, fewer)]
    spaces = [one.sparse_space for one in encoders]

    assert counted.space == plain.space != others.space
    assert LEXICAL in counted.files
    assert spaces[0] is None
    assert spaces[1] == spaces[2] != spaces[3]
    assert str(spaces[1]).endswith("+sparse")
    assert encoders[0].lexical is None


def test_no_other_kind_may_have_the_file(tmp_path: Path) -> None:
    drafts = tiny.pair_drafts()

    with pytest.raises(ManifestError, match="files must be"):
        publish(tmp_path, [replace(drafts[0], lexical=tiny.lexical()), drafts[1]])
