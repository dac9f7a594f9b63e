"""Pairs and an encoder to a file of triplets: `encodery mine`.

Corpus are the different second texts of the pairs. What is right for a query is known by its text: all its
partners in any pair, and itself.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundle.preprocess.text import Text
from bundle.progress import Progress
from training.errors import ConfigError
from training.task import Encode
from training.text.data.readers import Pairs
from training.text.mining import MiningRules, mine

TEXTS = 1024  # encoded at a time, between two lines of progress


def write_triplets(pairs: Pairs, encode: Encode, rules: MiningRules, out: Path) -> int:
    """Write JSONL of first, second, negative; a line for each negative found. Returns how many.

    Pairs with an empty side are left out, as they are in training.

    Raises:
        ConfigError: there are no pairs.
    """
    pairs = _whole(pairs)
    if not pairs.first:
        raise ConfigError("there are no pairs to mine from; see data.pairs")
    corpus = list(dict.fromkeys(pairs.second))
    number_of = {text: number for number, text in enumerate(corpus)}
    queries = list(dict.fromkeys(pairs.first))
    row_of = {text: row for row, text in enumerate(queries)}
    vectors = _vectors(encode, [*queries, *corpus])
    firsts = np.array([row_of[text] for text in pairs.first])
    seconds = np.array([number_of[text] for text in pairs.second])
    found = mine(
        vectors[firsts],
        vectors[len(queries) + seconds],
        vectors[len(queries) :],
        _right(pairs, number_of),
        rules,
    )
    return _write(pairs, corpus, found, out)


def _whole(pairs: Pairs) -> Pairs:
    both = [two for two in zip(pairs.first, pairs.second, strict=True) if all(text.strip() for text in two)]
    return Pairs([first for first, _ in both], [second for _, second in both])


def _right(pairs: Pairs, number_of: dict[str, int]) -> list[npt.NDArray[np.int64]]:
    """Find the rows of the corpus that are right for each pair's first text."""
    partners: dict[str, set[int]] = defaultdict(set)
    for first, second in zip(pairs.first, pairs.second, strict=True):
        partners[first].add(number_of[second])
        if first in number_of:
            partners[first].add(number_of[first])
    return [np.array(sorted(partners[first]), dtype=np.int64) for first in pairs.first]


def _vectors(encode: Encode, texts: list[str]) -> npt.NDArray[np.float32]:
    """L2-normalised (n, d)."""
    parts = []
    with Progress(total=len(texts), label="encode", unit="texts") as progress:
        for start in range(0, len(texts), TEXTS):
            block = texts[start : start + TEXTS]
            parts.append(encode([Text(text) for text in block]))
            progress.advance(len(block))
    vectors = np.concatenate(parts)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def _write(pairs: Pairs, corpus: list[str], found: list[npt.NDArray[np.int64]], out: Path) -> int:
    temporary, count = out.with_name(out.name + ".partial"), 0
    with temporary.open("w", encoding="utf-8") as file:
        for first, second, rows in zip(pairs.first, pairs.second, found, strict=True):
            for row in rows:
                triplet = {"first": first, "second": second, "negative": corpus[row]}
                file.write(json.dumps(triplet, ensure_ascii=False) + "\n")
                count += 1
    temporary.replace(out)
    return count
