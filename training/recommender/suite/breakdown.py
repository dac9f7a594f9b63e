"""What a mean over users hides: which items a method finds, how much of the catalogue, and for whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.held_out import EvaluationSplit
from training.recommender.ranking import hits

Ints = npt.NDArray[np.int64]

SHOWN = 20  # of a ranking
POPULARITY = {"top 10 % of items": 0.1, "next 40 %": 0.5, "the other 50 %": 1.0}  # up to which share of them
LENGTHS = {"up to 5": 5, "6 to 20": 20, "21 to 50": 50, "51 to 100": 100, "more": 1 << 62}
EXAMPLES = 4  # users
ENTRIES = 10  # of a history, and of a ranking


@dataclass(frozen=True)
class Breakdown:
    """Of a method's rankings.

    Attributes:
        coverage: share of the candidates that are among anybody's first 20.
        popularity: per bucket of `POPULARITY`, how many targets are among the first 20, and of how many.
    """

    coverage: float
    popularity: dict[str, list[int]]


@dataclass(frozen=True)
class Example:
    """A user as the encoder sees it.

    Attributes:
        history: names of the newest items, newest first.
        items: names of the best items, best first.
        is_hit: which of these the user took.
        targets: how many items the user took.
    """

    history: list[str]
    items: list[str]
    is_hit: list[bool]
    targets: int


def breakdown(best: Ints, held_out: EvaluationSplit, counts: npt.NDArray[np.float32]) -> Breakdown:
    """Of rankings [n, depth] of the candidates; `counts` are of all items in training, (k,)."""
    shown = best[:, :SHOWN]
    bucket = _bucket_of(counts[held_out.candidates])
    targets = np.concatenate(held_out.targets)
    found = shown[hits(shown, held_out.targets)]
    there = np.bincount(bucket[targets], minlength=len(POPULARITY))
    hit = np.bincount(bucket[found], minlength=len(POPULARITY))
    pairs = {name: [int(hit[i]), int(there[i])] for i, name in enumerate(POPULARITY)}
    return Breakdown(len(np.unique(shown)) / len(held_out.candidates), pairs)


def _bucket_of(counts: npt.NDArray[np.float32]) -> Ints:
    """The bucket of each candidate, the most popular first: int64 [k]."""
    places = np.empty(len(counts), dtype=np.int64)
    places[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    ends = np.array([share * len(counts) for share in POPULARITY.values()])
    return np.searchsorted(ends, places, side="right").clip(max=len(ends) - 1)


def length_bucket(length: int) -> str:
    return next(name for name, most in LENGTHS.items() if length <= most)


def examples_of(examples: RecommenderExamples, held_out: EvaluationSplit, best: Ints) -> list[Example]:
    """Some users, evenly spread over those that are measured."""
    chosen = np.unique(np.linspace(0, len(best) - 1, EXAMPLES).astype(int))
    is_hit = hits(best[:, :ENTRIES], held_out.targets)
    return [
        Example(
            history=[_name(examples, entry["id"]) for entry in _history(examples, held_out, user)],
            items=[
                _name(examples, examples.log.items[held_out.candidates[item]])
                for item in best[user, :ENTRIES]
            ],
            is_hit=is_hit[user].tolist(),
            targets=len(held_out.targets[user]),
        )
        for user in chosen.tolist()
    ]


def _history(examples: RecommenderExamples, held_out: EvaluationSplit, user: int) -> list[Any]:
    entries: list[Any] = held_out.users[user].values[examples.history_name]
    return entries[:ENTRIES]


def _name(examples: RecommenderExamples, item: str) -> str:
    """What an item is called: its first text, or its id."""
    texts = [spec.name for spec in examples.item_schema.features if spec.kind == "text"]
    record = examples.item_records[int(np.searchsorted(examples.log.items, item))]
    found = next((record[name] for name in texts if name in record), None)
    return f"{found} ({item})" if found else item
