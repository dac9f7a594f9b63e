"""A map of labelled texts: their vectors seen along the two directions in which they differ most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from training.text.suite.task import Floats, LabelledTexts, TaskDescription, VectorsOf

LABELS, POINTS = 10, 1200  # more cannot be told apart


@dataclass(frozen=True)
class Map:
    """Points of a task's most frequent labels.

    Attributes:
        places: float32 [n, 2], within -1 and 1.
        explained: which share of all variance the two directions have.
        labels: how many the task has; not all may be shown.
    """

    about: TaskDescription
    examples: LabelledTexts
    places: Floats
    explained: float
    labels: int


def map_of(about: TaskDescription, labelled: LabelledTexts, vectors: VectorsOf) -> Map:
    """The LABELS most frequent labels, and of them at most POINTS texts, chosen with a fixed seed."""
    counts = Counter(labelled.labels)
    shown = set(sorted(counts, key=lambda name: (-counts[name], name))[:LABELS])
    rows = [row for row, label in enumerate(labelled.labels) if label in shown]
    chosen = sorted(np.random.default_rng(0).permutation(rows)[:POINTS].tolist())
    examples = LabelledTexts(
        [labelled.texts[row] for row in chosen], [labelled.labels[row] for row in chosen]
    )
    places, explained = principal(vectors(examples.texts))
    return Map(about, examples, places, explained, len(counts))


def principal(vectors: Floats) -> tuple[Floats, float]:
    """The first two principal components, scaled into -1..1, and their share of the variance."""
    centred = (vectors - vectors.mean(0)).astype(np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred)  # ascending
    axes = axes[:, ::-1][:, :2]
    axes = axes * np.where(
        axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1.0, 1.0
    )  # one sign for all
    places = centred @ axes
    total = float(values.sum())
    share = float(values[-2:].sum()) / total if total > 0 else 0.0
    return (places / max(float(np.abs(places).max()), 1e-12)).astype(np.float32), share
