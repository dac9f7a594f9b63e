"""Measures text encoders across languages: a translation found, a paragraph found, by language.

    python -m bench.multilingual MODEL ... --data DATA [--teacher DIRECTORY] [--split dev]

XQuAD has the same questions in seven languages; every other one is dev, the rest test. Of the split, 200
questions drawn once ask for their translation among the 200, in both directions; and every question of the
split asks for its paragraph among the 240 of its language, beside BM25. Tatoeba's pairs (test alone) ask for
each other. Writes bench/results/multilingual.json for the test split.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.held_out import ndcg

Floats = npt.NDArray[np.float32]
Encoding = Callable[[Sequence[str]], Floats]  # texts to unit vectors
RESULTS = Path(__file__).parent / "results" / "multilingual.json"
LANGUAGES = ("de", "es", "ru", "zh", "ar", "hi")
ASKED, SEED = 200, 0
IDEOGRAPHS = re.compile("[\u3400-\u9fff]+")


@dataclass(frozen=True)
class Questions:
    """The questions of a language, the paragraphs, and which of these answers which.

    Attributes:
        relevant: of each question, the row of its paragraph.
    """

    texts: list[str]
    paragraphs: list[str]
    relevant: list[Mapping[int, float]]


def read_questions(xquad: Path, language: str, split: str) -> Questions:
    """Every other question is dev, the rest test; their order is the same in all languages."""
    queries, corpus = (
        [json.loads(line) for line in (xquad / language / name).read_text(encoding="utf-8").splitlines()]
        for name in ("queries.jsonl", "corpus.jsonl")
    )
    row_of = {one["_id"]: row for row, one in enumerate(corpus)}
    judged = (xquad / language / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]
    answers = {question: row_of[document] for question, document, _ in (row.split("\t") for row in judged)}
    chosen = sorted(queries, key=lambda one: str(one["_id"]))[0 if split == "dev" else 1 :: 2]
    return Questions(
        [one["text"] for one in chosen],
        [one["text"] for one in corpus],
        [{answers[one["_id"]]: 1.0} for one in chosen],
    )


def hits(a: Floats, b: Floats) -> float:
    """How often the nearest of the other side is the own partner, the mean of both directions."""
    scores, own = a @ b.T, np.arange(len(a))
    return float(((scores.argmax(0) == own).mean() + (scores.argmax(1) == own).mean()) / 2)


def in_pairs(text: str) -> str:
    """Runs of ideographs as pairs of neighbours, which BM25 then takes for words (Lucene's CJK analysis)."""
    return IDEOGRAPHS.sub(lambda run: f" {' '.join(_pairs(run.group()))} ", text)


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(max(1, len(run) - 1))]


def counted(questions: Questions, reading: Callable[[str], str] = str) -> float:
    """nDCG@10 of BM25."""
    from training.text.suite.bm25 import BM25
    from training.text.suite.ranked import ranking_metrics

    index = BM25(map(reading, questions.paragraphs))
    asked = zip(questions.texts, questions.relevant, strict=True)
    places = [index.places(reading(text), gains) for text, gains in asked]
    return ranking_metrics(places)["ndcg@10"].mean


def figures(encoders: Mapping[str, Encoding], data: Path, split: str) -> Iterator[dict[str, Any]]:
    """One row a figure: what, language, by which encoder, value."""
    xquad = data / "text/xquad-multi"
    sets = {one: read_questions(xquad, one, split) for one in ("en", *LANGUAGES)}
    for language, questions in sets.items():
        yield _row("paragraph", language, "bm25", counted(questions))
        if language == "zh":
            yield _row("paragraph", language, "bm25 of pairs", counted(questions, in_pairs))
    drawn = np.random.default_rng(SEED).permutation(len(sets["en"].texts))[:ASKED]
    for name, encode in encoders.items():
        vectors = {language: encode(questions.texts) for language, questions in sets.items()}
        for language, questions in sets.items():
            found = ndcg(vectors[language], encode(questions.paragraphs), questions.relevant)
            yield _row("paragraph", language, name, found)
            if language != "en":
                found = hits(vectors["en"][drawn], vectors[language][drawn])
                yield _row("translation", language, name, found)
        if split == "test":
            yield from _tatoeba(name, encode, data)


def _tatoeba(name: str, encode: Encoding, data: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((data / "text/pairs-multi/tatoeba").glob("*.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [line.rstrip("\n").split("\t") for line in file]
        a, b = (encode([row[side] for row in rows]) for side in (1, 2))
        yield _row("tatoeba", path.name[3:5], name, hits(a, b))


def _row(what: str, language: str, encoder: str, value: float) -> dict[str, Any]:
    return {"what": what, "language": language, "encoder": encoder, "value": round(value, 4)}


def published(models: Path, name: str) -> Encoding:
    """A bundle as it is served."""
    from bundle.preprocess.text import Text
    from bundle.store import Store

    encoder = Store(models).load(name)
    return lambda texts: encoder.encode([Text(text) for text in texts], truncate="end")


def taught(directory: Path) -> Encoding:
    """The teacher, with the prompt that its students learned by."""
    from training.text.teacher import PretrainedTeacher

    return PretrainedTeacher(directory, max_tokens=512, precision="bfloat16").encode


def main() -> None:
    """Parse the options, measure, print, and keep what is of the test split."""
    parser = argparse.ArgumentParser(prog="python -m bench.multilingual", description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="of the directory")
    parser.add_argument("--data", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--models-dir", type=Path, default=Path("models"), metavar="DIRECTORY")
    parser.add_argument("--teacher", type=Path, metavar="DIRECTORY")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    asked = parser.parse_args()
    encoders = {name: published(asked.models_dir, name) for name in asked.models}
    if asked.teacher:
        encoders["teacher"] = taught(asked.teacher)
    rows = []
    for row in figures(encoders, asked.data, asked.split):
        rows.append(row)
        print(f"{row['value']:.4f}  {row['what']} {row['language']}, {row['encoder']}", flush=True)
    if asked.split == "test":
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
