"""Graded similarity: do cosines order pairs of sentences as people do?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.errors import ConfigError
from training.metrics import MetricValue
from training.text.data.readers import ScoredPairs, read_scored_file
from training.text.metrics import DIGITS, cosines, spearman
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

    def texts(self) -> list[str]:
        return [*self.pairs.first, *self.pairs.second]

    def score(self, vectors: VectorsOf) -> dict[str, MetricValue]:
        """Spearman, with its standard error over redrawn pairs."""
        near = np.round(cosines(vectors(self.pairs.first), vectors(self.pairs.second)), DIGITS)
        random = np.random.default_rng(0)
        draws = (random.integers(0, len(near), len(near)) for _ in range(DRAWS))
        spread = float(np.std([spearman(near[rows], self.pairs.scores[rows]) for rows in draws], ddof=1))
        return {FIGURE: MetricValue(spearman(near, self.pairs.scores), spread)}


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
