"""Clustering: do texts of one label lie together, when nobody says what the labels are?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.files import open_text
from training.errors import ConfigError
from training.metrics import MetricValue
from training.text.suite.kmeans import kmeans, v_measure
from training.text.suite.splits import Split, in_half
from training.text.suite.task import LabelledTexts, TaskDescription, VectorsOf

FIGURE = "v_measure"
STARTS = 10


@dataclass(frozen=True)
class Clustering:
    """Labelled texts, put into as many clusters as there are labels."""

    about: TaskDescription
    labelled: LabelledTexts
    baselines: Mapping[str, Mapping[str, MetricValue]]

    @classmethod
    def of(cls, directory: Path, split: Split) -> Clustering | None:
        """Read `title*.txt` and `label*.txt`, one a line each; the splits are halves of the texts."""
        titles, others = sorted(directory.glob("title*.txt")), sorted(directory.glob("label*.txt"))
        if len(titles) != 1 or len(others) != 1:
            return None
        [labels_file] = others
        texts, names = _lines(titles[0]), _lines(labels_file)
        if len(texts) != len(names):
            raise ConfigError(
                f"{directory}: {titles[0].name} has {len(texts)} lines, {labels_file.name} has {len(names)}"
            )
        rows = LabelledTexts(texts, names).where(in_half(split)).in_fixed_order()
        labels = len(set(rows.labels))
        if rows.labels and not 1 < labels < len(rows.labels):
            raise ConfigError(
                f"{directory}: {labels} labels for {len(rows.labels)} texts of the split {split}; clusters "
                "need at least 2 labels, and fewer than texts"
            )
        about = TaskDescription.of(
            directory,
            [titles[0].name, labels_file.name],
            kind="clustering",
            split=f"a fixed half of {titles[0].name}",
            size=f"{len(rows.texts):,} texts, {labels} labels",
            headline=FIGURE,
            judged=len(rows.texts),
        )
        return cls(about, rows, {})

    def texts(self) -> Sequence[str]:
        return self.labelled.texts

    def score(self, vectors: VectorsOf) -> dict[str, MetricValue]:
        """The mean v-measure of STARTS starts of k-means, with its standard error over the starts."""
        names, labels = np.unique(self.labelled.labels, return_inverse=True)
        points = vectors(self.labelled.texts)
        found = [
            v_measure(labels, kmeans(points, len(names), np.random.default_rng(seed)))
            for seed in range(STARTS)
        ]
        return {FIGURE: MetricValue.of(np.array(found))}


def _lines(path: Path) -> list[str]:
    with open_text(path) as file:
        return [line.rstrip("\r\n") for line in file]
