"""Slices of a set, misspelt copies, and the examples that an encoder is furthest off in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_sets import write_csv

from training.text.suite.retrieval import Retrieval
from training.text.suite.similarity import Similarity
from training.text.suite.slices import LONGEST, clipped, misspelt, rows_of
from training.text.suite.task import Floats


@given(st.text())
def test_misspelt_texts_have_the_same_characters_and_words_as_long(text: str) -> None:
    wrong = misspelt(text)
    assert Counter(wrong) == Counter(text)
    assert wrong == misspelt(text)
    assert [one.isalpha() for one in wrong] == [one.isalpha() for one in text]


def test_a_tenth_of_the_letters_is_swapped() -> None:
    text = "where is my parcel and when will it arrive " * 200
    moved = sum(a != b for a, b in zip(text, misspelt(text), strict=True)) / 2 / len(text)
    assert 0.04 < moved < 0.1


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("it costs 10 euros", {"numbers"}),
        ("it does not work", {"negations"}),
        ("it doesn't work", {"negations"}),
        ("nothing for 3 days", {"numbers", "negations"}),
        ("a knot, a note, an annotation", set()),
        ("", set()),
    ],
)
def test_slices_are_by_what_a_text_has(text: str, names: set[str]) -> None:
    assert rows_of([(text,), ("plain", text)]).keys() == names


def test_a_slice_of_one_is_left_out() -> None:
    assert rows_of([("1",), ("a",)]) == {}


def test_long_texts_are_clipped() -> None:
    assert clipped("a\n b") == "a b"
    assert len(clipped("word " * 100)) == LONGEST


AXES = {"one": 0, "two": 1, "three": 2}


def by_axis(texts: Sequence[str]) -> Floats:
    """A text's vector is the axis of the number word in it, by its letters: misspelt ones have it as well."""
    letters = {"".join(sorted(word)): axis for word, axis in AXES.items()}
    rows = np.zeros((len(texts), 4), dtype=np.float32)
    for row, text in enumerate(texts):
        found = [letters["".join(sorted(word))] for word in text.split() if "".join(sorted(word)) in letters]
        rows[row, found[0] if found else 3] = 1.0
    return rows


@pytest.fixture
def retrieval(tmp_path: Path) -> Retrieval:
    """Two queries find their document; the third is sent to that of the second."""
    documents = {"d1": "document one", "d2": "document two", "d3": "document three"}
    queries = {"q1": "one 1", "q2": "two not", "q3": "two but not three 3"}
    for name, texts in (("corpus", documents), ("queries", queries)):
        lines = (json.dumps({"_id": key, "text": text}) for key, text in texts.items())
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "dev.tsv").write_text("q1\td1\t1\nq2\td2\t1\nq3\td3\t1\n")
    task = Retrieval.of(tmp_path, "dev")
    assert isinstance(task, Retrieval)
    return task


def test_queries_that_fail_are_shown_with_what_came_first(retrieval: Retrieval) -> None:
    worst = retrieval.worst(by_axis, 1)

    assert worst.columns == ("query", "came first", "relevant", "rank of the best")
    assert worst.rows == [("two but not three 3", "document two", "document three", "2")]


def test_retrieval_is_measured_by_slice_beside_bm25(retrieval: Retrieval) -> None:
    found = retrieval.score(by_axis)

    assert found["ndcg@10, numbers"].mean == found["ndcg@10, negations"].mean < found["ndcg@10"].mean
    assert found["ndcg@10, typos"].mean == found["ndcg@10"].mean
    assert retrieval.baselines["bm25"].keys() == found.keys()


def test_pairs_that_are_ordered_otherwise_are_shown(tmp_path: Path) -> None:
    rows = [("one", "one x", 5), ("two", "two x", 4), ("one", "two y", 1), ("three", "one z", 4.5)]
    write_csv(tmp_path / "a-dev.csv", rows)
    task = Similarity.of(tmp_path, "dev")
    assert isinstance(task, Similarity)
    (worst,) = task.worst(by_axis, 1).rows

    assert worst[:2] == ("three", "one z")
    assert worst[2:] == ("4.5, above 67 %", "0.000, above 17 %")
    assert set(task.score(by_axis)) == {"spearman", "spearman, typos"}
