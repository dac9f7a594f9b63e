"""Measures the bundled text encoders where training did not go: misspelt texts, titles, one on the other's.

    python -m bench.held_out --data DATA [--models-dir DIRECTORY] [--each 450] [--split dev]

Prints Spearman on STS-B with the second sentence misspelt, nDCG@10 of titles that look for their texts in the
sources of pairs-en-2 that no config of training/configs learns from, and nDCG@10 of queries by `text` on
MedQuAD's documents by `text-small`. BM25 stands beside.
"""

from __future__ import annotations

import argparse
import gzip
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Encoding = Callable[[Sequence[str]], Floats]  # texts to unit vectors
Pairs = Sequence[tuple[str, str]]
RATE = 0.1  # chance of a character to be swapped with the next
HELD_OUT = ("gnome-help", "man-pages", "perl-faq", "postgresql-doc")


def swapped(text: str, chance: random.Random, rate: float = RATE) -> str:
    """The text, some of its characters swapped with the one after them."""
    written, at = list(text), 0
    while at < len(written) - 1:
        if chance.random() < rate:
            written[at : at + 2] = written[at : at + 2][::-1]
            at += 1
        at += 1
    return "".join(written)


def titles(data: Path, each: int) -> Pairs:
    """So many pairs of each source that is held out, the first ones of the file."""
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in HELD_OUT}
    with gzip.open(data / "text/pairs-en-2/pairs.tsv.gz", "rt", encoding="utf-8") as file:
        for line in file:
            source, first, second = line.rstrip("\n").split("\t")
            if len(found.get(source, [0] * each)) < each:
                found[source].append((first, second))
    return [pair for name in HELD_OUT for pair in found[name]]


def ndcg(queries: Floats, documents: Floats, relevant: Sequence[Mapping[int, float]]) -> float:
    """nDCG@10 of exact search."""
    from training.text.suite.ranked import NOBODY, ranking_metrics, search

    nobody = np.full(len(relevant), NOBODY)
    found = search(queries, lambda start, stop: documents[start:stop], len(documents), relevant, nobody)
    return ranking_metrics(found)["ndcg@10"].mean


def figures(
    encoders: Mapping[str, Encoding], data: Path, each: int, split: str
) -> Iterator[tuple[str, float]]:
    """Each figure with its name."""
    from training.text.metrics import cosines, spearman
    from training.text.suite.bm25 import BM25
    from training.text.suite.ranked import ranking_metrics
    from training.text.suite.retrieval import Retrieval
    from training.text.suite.similarity import Similarity

    sentences = Similarity.of(data / "text/stsb", "test" if split == "test" else "dev")
    answers = Retrieval.of(data / "text/medquad-retrieval", "test" if split == "test" else "dev")
    assert isinstance(sentences, Similarity)
    assert isinstance(answers, Retrieval)
    pairs, chance = sentences.pairs, random.Random(7)
    slips = [swapped(text, chance) for text in pairs.second]
    rows = titles(data, each)
    own = [{number: 1.0} for number in range(len(rows))]
    first, second = ([row[side] for row in rows] for side in (0, 1))
    index = BM25(second)
    places = [index.places(text, gains) for text, gains in zip(first, own, strict=True)]
    yield f"titles of {len(rows):,} texts, nDCG@10, BM25", ranking_metrics(places)["ndcg@10"].mean
    queries, documents = {}, {}
    for name, encode in encoders.items():
        near = cosines(encode(pairs.first), encode(slips))
        yield f"STS-B, second sentence misspelt, Spearman, {name}", spearman(near, pairs.scores)
        yield f"titles of {len(rows):,} texts, nDCG@10, {name}", ndcg(encode(first), encode(second), own)
        queries[name], documents[name] = encode(answers.queries), encode(answers.documents)
    for asking in encoders:
        for asked in encoders:
            figure = ndcg(queries[asking], documents[asked], answers.relevant)
            yield f"MedQuAD, nDCG@10, queries by {asking}, documents by {asked}", figure


def main() -> None:
    """Parse the options, measure, print."""
    from bundle.preprocess.text import Text
    from bundle.store import Store

    parser = argparse.ArgumentParser(prog="python -m bench.held_out", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--models-dir", type=Path, default=Path("models"), metavar="DIRECTORY")
    parser.add_argument("--each", type=int, default=450, metavar="N", help="pairs of each source")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    asked = parser.parse_args()

    def encoding(name: str) -> Encoding:
        encoder = Store(asked.models_dir).load(name)
        return lambda texts: encoder.encode([Text(text) for text in texts])

    encoders = {name: encoding(name) for name in ("text", "text-small")}
    for what, value in figures(encoders, asked.data, asked.each, asked.split):
        print(f"{value:.4f}  {what}", flush=True)


if __name__ == "__main__":
    main()
