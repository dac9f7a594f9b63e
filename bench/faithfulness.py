"""Measures whether explanations find the words that a similarity is made of: deletion, as in docs/explain.md.

    python -m bench.faithfulness DATA [--models models] [text text-small]

DATA has stsb-en-dev.csv and stsb-en-train.csv. Of the first 80 pairs of the dev half with a score of 3 or
more and 6 to 20 words, the first half of the first text's words is taken away, one after another, in the
order that an explanation gives; told is the mean share of the similarity that is lost on the way. Beside it
the orders by rarity (IDF in the train half) and at random. Goes to bench/results/faithfulness.md.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import log
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.servers import ROOT
from bundle import Encoder, Store, Text
from bundle.neighbours import similarities
from bundle.preprocess import Pieces, TakesApart
from bundle.shapley import METHODS, Masks, Values, run

PAIRS, LEAST_SCORE, WORDS = 80, 3.0, range(6, 21)
MOST_PIECES, MOST_MASKS = 32, 4000
SHOWN = {
    "shapley": "Shapley values",
    "leave_one_out": "leave one out",
    "rarity": "by rarity (IDF in STS-B train)",
    "random": "at random",
}
Floats = npt.NDArray[np.float32]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.faithfulness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("names", nargs="*", default=["text", "text-small"])
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "faithfulness.md")
    given = parser.parse_args()
    weights = idf(text for row in _rows(given.data, "train") for text in row[:2])
    pairs = list(islice(_pairs(_rows(given.data, "dev")), PAIRS))
    store = Store(given.models)
    found = {
        f"`{name}` {store.current(name)}": _lost(store.load(name), pairs, weights) for name in given.names
    }
    written = page(found)
    given.out.write_text(written)
    print(written)


def page(found: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """The table: means with their standard errors."""
    lines = [f"| order | {' | '.join(found)} |", "|---" * (len(found) + 1) + "|"]
    for order, shown in SHOWN.items():
        cells = [
            f"{np.mean(one[order]):.3f} ± {np.std(one[order]) / len(one[order]) ** 0.5:.3f}"
            for one in found.values()
        ]
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def idf(texts: Iterable[str]) -> Callable[[str], float]:
    """The rarity of the rarest word of a piece."""
    counts, number = Counter[str](), 0
    for text in texts:
        number += 1
        counts.update(set(_words(text)))
    return lambda piece: max((log(number / (1 + counts[word])) for word in _words(piece)), default=0.0)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _rows(data: Path, half: str) -> Iterator[list[str]]:
    with (data / f"stsb-en-{half}.csv").open(newline="") as file:
        yield from csv.reader(file)


def _pairs(rows: Iterable[Sequence[str]]) -> Iterator[tuple[str, str]]:
    for first, second, score in rows:
        if float(score) >= LEAST_SCORE and len(first.split()) in WORDS:
            yield first, second


def _lost(
    encoder: Encoder, pairs: Sequence[tuple[str, str]], rarity: Callable[[str], float]
) -> Mapping[str, list[float]]:
    """For each order, the share that each pair loses."""
    drawn, lost = np.random.default_rng(1), {order: list[float]() for order in SHOWN}
    assert isinstance(encoder.preprocessor, TakesApart)
    for first, second in pairs:
        pieces = encoder.preprocessor.pieces(Text(first), MOST_PIECES)
        other = encoder.encode([Text(second)])

        def value(masks: Masks, pieces: Pieces = pieces, other: Floats = other) -> Values:
            return _scores(encoder, pieces, other, masks)

        places = [first[place["start"] : place["stop"]] for place in pieces.places]
        worth = {
            name: run(plan(len(pieces), MOST_MASKS), value).values[:, 0] for name, plan in METHODS.items()
        }
        worth |= {"rarity": np.array([rarity(one) for one in places]), "random": drawn.random(len(pieces))}
        whole = value(np.ones((1, len(pieces)), np.bool_))[0, 0]
        for order, each in worth.items():
            left = value(_deleted(each))[:, 0]
            lost[order].append(float((1 - left / whole).mean()))
    return lost


def _deleted(worth: npt.NDArray[np.float64]) -> Masks:
    """What is left after one piece, two, and so on, up to half of them, the most worth first. [n / 2, n]."""
    masks = np.ones((len(worth) // 2, len(worth)), np.bool_)
    for row, piece in enumerate(np.argsort(-worth, kind="stable")[: len(masks)]):
        masks[row:, piece] = False
    return masks


def _scores(encoder: Encoder, pieces: Pieces, other: Floats, masks: Masks) -> Values:
    """The score of what each mask keeps with the other; nothing has a vector of zeros. [m, 1]."""
    vectors = np.zeros((len(masks), encoder.manifest.dim), np.float32)
    kept = {row: left for row, mask in enumerate(masks) if (left := pieces.keep(mask)) is not None}
    if kept:
        vectors[list(kept)] = encoder.encode(list(kept.values()))
    return similarities(vectors, other, encoder.manifest.metric)


if __name__ == "__main__":
    main()
