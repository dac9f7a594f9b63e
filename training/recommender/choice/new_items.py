"""How far content is believed, by validation users' interest in items that are left out of training.

Some known items are drawn and taken out of the matrix; what their content alone makes of them is ranked,
among themselves, by what validation users took (protocol C in small). Two settings: the ridge of the
regression on content, and how much a history's own items say of items with the same content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.recommender import baselines
from training.recommender.choice.questions import Asked, Floats, Ints, pooled
from training.recommender.choice.search import Tried
from training.recommender.data.examples import RecommenderExamples
from training.recommender.encoders.content import RIDGES, ContentSettings, precision, predicted_diagonal
from training.recommender.encoders.structure import ClosedForm, Structures
from training.recommender.ranking import evaluate_users

FEWEST = 20  # users that took one of the left-out items
ITEMS = 2_000  # whose content is inverted once for each ridge
OWN = (0.0, 1.0, 2.0, 3.0, 5.0)


@dataclass(frozen=True)
class NewItems:
    """What is asked of new items. n users, k warm items, m left out, both by places in the vocabulary.

    Attributes:
        warm: the items that the matrix is of, int64 (k,).
        new: the items left out, int64 (m,).
        matrix: of the warm items, float32 (k, k), 0 on its diagonal.
        pooled: users' histories of warm items, float32 (n, k).
        targets: of each user, places among `new`.
    """

    warm: Ints
    new: Ints
    matrix: Floats
    pooled: Floats
    targets: list[Ints]


def new_items(examples: RecommenderExamples, form: ClosedForm, half_lives_days: Sequence[float]) -> NewItems:
    """Draw items, and compute the matrix without them; of large catalogues only of the most frequent.

    Args:
        examples: of the run.
        form: settings of the matrix.
        half_lives_days: of histories, as they are asked for new items.
    """
    inner, log = examples.validation_of_new_items(), examples.log
    held_out = inner.held_out
    vocabulary = np.full(len(log.items), -1, dtype=np.int64)
    vocabulary[examples.known] = np.arange(len(examples.known))
    new = vocabulary[held_out.candidates]
    warm = np.setdiff1d(np.arange(len(examples.known)), new)[:ITEMS]
    place = np.full(len(log.items), -1, dtype=np.int64)
    place[examples.known[warm]] = np.arange(len(warm))
    rows = [place[log.item[one]] for one in inner.histories]
    words = examples.texts(inner.item_records)
    texts = [words[number] for number in examples.known[warm]]
    structures = Structures(
        baselines.multi_hot([one[one >= 0] for one in rows], len(warm)),
        baselines.tfidf(texts) if any(texts) else None,
    )
    none = np.zeros(0, dtype=np.int64)
    asked = [
        Asked(items, ages, none).at(place)
        for items, ages in zip(held_out.warm, held_out.ages_days, strict=True)
    ]
    histories = pooled(asked, len(warm), half_lives_days)
    return NewItems(warm, new, structures.matrix(form), histories, held_out.targets)


def choose_content(
    question: NewItems, content: Tensor, metric: str, own: float | None
) -> tuple[ContentSettings | None, list[Tried]]:
    """The ridge and the weight of own items that rank new items best; None where nothing can be judged.

    Args:
        question: what is asked.
        content: of all known items, X (known, c).
        metric: one of `ranking`'s.
        own: the weight of own items, if it is given.
    """
    if len(question.targets) < FEWEST or not content.shape[1]:
        return None, []
    figures: dict[ContentSettings, float] = {}
    for ridge in RIDGES:
        figures |= _figures(question, content, ridge, metric, OWN if own is None else (own,))
    best = max(figures, key=figures.__getitem__)
    tried = [
        Tried("content_ridge, content_own", f"{one.ridge:g}, {one.own:g}", figure, one == best)
        for one, figure in figures.items()
    ]
    return best, tried


def _figures(
    question: NewItems, content: Tensor, ridge: float, metric: str, weights: Sequence[float]
) -> dict[ContentSettings, float]:
    """The metric for each weight of own items: scores are (h B + own h) P X X_new'."""
    warm, new = content[question.warm], content[question.new]
    of_content = precision(warm, ridge)
    matrix = torch.from_numpy(question.matrix).clone()
    matrix.diagonal().copy_(predicted_diagonal(matrix, of_content))
    histories = torch.from_numpy(question.pooled)
    read = of_content @ (warm @ new.T)  # (k, m)
    by_structure, by_own = histories @ (matrix @ read), histories @ read  # (n, m)
    nothing = [np.zeros(0, dtype=np.int64)] * len(histories)
    return {
        ContentSettings(ridge, own): float(
            evaluate_users((by_structure + own * by_own).numpy(), nothing, question.targets)[metric].mean()
        )
        for own in weights
    }
