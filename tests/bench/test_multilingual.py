"""bench.multilingual: halves that share no question, hits in both directions, and every figure once."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bench.multilingual import LANGUAGES, counted, figures, hits, in_pairs, read_questions

QUESTIONS = 8


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Question i of language l is "l i", its paragraph "l i here"; every Tatoeba pair is "i" and "i"."""
    for language in ("en", *LANGUAGES):
        directory = tmp_path / "text/xquad-multi" / language
        directory.mkdir(parents=True)
        names = [f"q{number}" for number in range(QUESTIONS)]
        for file, form in (("queries", "{} w{}"), ("corpus", "{} w{} here")):
            rows = ({"_id": f"{file[0]}{n}", "text": form.format(language, n)} for n in range(QUESTIONS))
            (directory / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        judged = "".join(f"{name}\tc{name[1:]}\t1\n" for name in names)
        (directory / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    (tmp_path / "text/pairs-multi/tatoeba").mkdir(parents=True)
    with gzip.open(tmp_path / "text/pairs-multi/tatoeba/en-fr.tsv.gz", "wt") as file:
        file.writelines(f"fr\t{number}\t{number}\n" for number in range(5))
    return tmp_path


def test_the_halves_share_no_question(data: Path) -> None:
    halves = [read_questions(data / "text/xquad-multi", "de", split) for split in ("dev", "test")]

    assert set(halves[0].texts) | set(halves[1].texts) == {f"de w{n}" for n in range(QUESTIONS)}
    assert not set(halves[0].texts) & set(halves[1].texts)
    assert halves[0].paragraphs[next(iter(halves[0].relevant[1]))] == f"{halves[0].texts[1]} here"


def test_hits_are_the_mean_of_both_directions() -> None:
    """Every a finds b0, and each b the right a but b1: a0 · b1 = 2 > a1 · b1 = 1."""
    a, b = np.eye(2, dtype=np.float32), np.array([[3, 2], [2, 1]], dtype=np.float32)

    assert hits(a, b) == pytest.approx((0.5 + 0.5) / 2)
    assert hits(a, a) == 1


def test_words_of_ideographs_are_pairs_of_neighbours(data: Path) -> None:
    assert in_pairs("看一本书 ok") == " 看一 一本 本书  ok"
    assert in_pairs("书。") == " 书 。"
    assert counted(read_questions(data / "text/xquad-multi", "zh", "dev"), in_pairs) == 1


def by_number(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """A question, its translations and its paragraph are the same to it."""
    numbers = [
        int(next(word for word in text.split() if word.strip("w").isdigit()).strip("w")) for text in texts
    ]
    return np.eye(QUESTIONS, dtype=np.float32)[numbers]


def test_every_figure_is_given_once_and_tatoeba_with_the_test_split_alone(data: Path) -> None:
    dev, test = (list(figures({"made": by_number}, data, split)) for split in ("dev", "test"))
    keys = [(row["what"], row["language"], row["encoder"]) for row in test]

    assert len(set(keys)) == len(keys)
    assert {row["value"] for row in test if row["encoder"] == "made"} == {1.0}
    assert {row["what"] for row in test} - {row["what"] for row in dev} == {"tatoeba"}
    assert sum(row["what"] == "translation" for row in dev) == len(LANGUAGES)
