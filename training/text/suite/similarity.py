"""Graded similarity: do cosines order pairs of sentences as people do?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.errors import ConfigError
from training.metrics import MetricValue
from training.text.data.readers import ScoredPairs, read_scored_file
from training.text.metrics import DIGITS, cosines, ranks, spearman
from training.text.suite.slices import TYPOS, Worst, clipped, misspelt, rows_of
from training.text.suite.splits import Split, in_fixed_order
from training.text.suite.task import LabelledTexts, NoSuchSplit, TaskDescription, VectorsOf

FIGURE = "spearman"
DRAWS = 200  # of the bootstrap: its own error is then a twentieth of the standard error
SPLITS: tuple[Split, ...] = ("dev", "test")


@dataclass(frozen=True)
class Similarity:
    """Pairs with a score, and Spearman's correlation of it with the cosine of the two vectors."""

    about: TaskDescription
    pairs: ScoredPairs
    baselines: Mapping[str, Mapping[str, MetricValue]]
    labelled: LabelledTexts | None = None

    @classmethod
    def of(cls, directory: Path, split: Split) -> Similarity | NoSuchSplit | None:
        """Read `*dev.csv` or `*test.csv`: sentence, sentence, score, without a header; each is used whole."""
        paths = {name: _named(directory, name) for name in SPLITS}
        graded = [path for path in paths[split] if is_graded(path)]
        if not graded:
            others = [path.name for name in SPLITS if name != split for path in paths[name]]
            # A file of the other split is not opened, so whether it is graded is told by its neighbours.
            if not others or paths[split] or (directory / "train.csv").exists():
                return None
            return NoSuchSplit(directory.name, f"it has {others[0]} and no file for the {split} split")
        if len(graded) > 1:
            names = ", ".join(path.name for path in graded)
            raise ConfigError(f"{directory} has several {split} files: {names}; give each a directory")
        pairs = _in_fixed_order(read_scored_file(graded[0]))
        if len(pairs.scores) > 1 and len(set(pairs.scores.tolist())) == 1:
            raise ConfigError(f"{graded[0]}: every score is {pairs.scores[0]:g}; there is no order to find")
        about = TaskDescription.of(
            directory,
            [graded[0].name],
            kind="similarity",
            split=f"the file {graded[0].name}",
            size=f"{len(pairs.scores):,} pairs",
            headline=FIGURE,
            judged=len(pairs.scores),
        )
        return cls(about, pairs, {})

    @cached_property
    def _misspelt(self) -> list[str]:
        return [misspelt(one) for one in self.pairs.second]

    def texts(self) -> list[str]:
        return [*self.pairs.first, *self.pairs.second, *self._misspelt]

    def score(self, vectors: VectorsOf) -> dict[str, MetricValue]:
        """Spearman, with its standard error over redrawn pairs.

        Of all, of slices, and of all with the second sentence misspelt.
        """
        near, scores = self._near(vectors, self.pairs.second), self.pairs.scores
        slices = rows_of(list(zip(self.pairs.first, self.pairs.second, strict=True)))
        return (
            {FIGURE: _correlation(near, scores)}
            | {f"{FIGURE}, {name}": _correlation(near[rows], scores[rows]) for name, rows in slices.items()}
            | {f"{FIGURE}, {TYPOS}": _correlation(self._near(vectors, self._misspelt), scores)}
        )

    def _near(self, vectors: VectorsOf, second: list[str]) -> npt.NDArray[np.float64]:
        return np.round(cosines(vectors(self.pairs.first), vectors(second)), DIGITS)

    def worst(self, vectors: VectorsOf, count: int) -> Worst:
        """The pairs whose rank among all by cosine is furthest from their rank by people."""
        near, scores = self._near(vectors, self.pairs.second), self.pairs.scores
        by_cosine, by_people = (100 * (ranks(one) - 1) / (len(one) - 1) for one in (near, scores))
        rows = np.argsort(-np.abs(by_cosine - by_people), kind="stable")[:count].tolist()
        cells = [
            (
                clipped(self.pairs.first[row]),
                clipped(self.pairs.second[row]),
                f"{scores[row]:g}, above {by_people[row]:.0f} %",
                f"{near[row]:.3f}, above {by_cosine[row]:.0f} %",
            )
            for row in rows
        ]
        return Worst(self.about.name, ("first", "second", "score", "cosine"), cells)


def _correlation(near: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> MetricValue:
    random = np.random.default_rng(0)
    draws = (random.integers(0, len(near), len(near)) for _ in range(DRAWS))
    spread = float(np.std([spearman(near[rows], scores[rows]) for rows in draws], ddof=1))
    return MetricValue(spearman(near, scores), spread)


def _named(directory: Path, split: Split) -> list[Path]:
    """The CSV files of a split: test.csv, sts-test.csv, but not latest.csv."""
    name = re.compile(rf"(?:.*[^a-z])?{split}\.csv", re.IGNORECASE)
    return sorted(path for path in directory.glob("*.csv") if name.fullmatch(path.name))


def is_graded(path: Path) -> bool:
    """Whether the first line ends in a number; another kind of set has a header there."""
    with path.open(encoding="utf-8", errors="replace") as file:
        last = file.readline().rstrip().rpartition(",")[2]
    try:
        float(last.strip('"'))
    except ValueError:
        return False
    return True


def _in_fixed_order(pairs: ScoredPairs) -> ScoredPairs:
    rows = zip(pairs.first, pairs.second, pairs.scores.tolist(), strict=True)
    order = in_fixed_order("\n".join(map(str, row)) for row in rows)
    return ScoredPairs(
        [pairs.first[row] for row in order], [pairs.second[row] for row in order], pairs.scores[order]
    )
