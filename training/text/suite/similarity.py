"""ScoredPairs similarity: do cosines order pairs of sentences as people do?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.files import files_sha256
from training.metrics import MetricValue
from training.text.data.readers import ScoredPairs, read_scored_file
from training.text.metrics import cosines, spearman
from training.text.suite.splits import in_half
from training.text.suite.task import LabelledTexts, Split, TaskDescription, VectorsOf

FIGURE = "spearman"
DRAWS = 200  # of the bootstrap: its own error is then a twentieth of the standard error


@dataclass(frozen=True)
class Similarity:
    """Pairs with a score, and Spearman's correlation of it with the cosine of the two vectors."""

    about: TaskDescription
    pairs: ScoredPairs
    baselines: Mapping[str, Mapping[str, MetricValue]]
    labelled: LabelledTexts | None = None

    @classmethod
    def of(cls, directory: Path, split: Split) -> Similarity | None:
        """Read `*dev.csv` and `*test.csv`: sentence, sentence, score, without a header.

        Without a dev file, the dev and the test split are the halves of the test file.
        """
        own, tests = _graded(directory, split), _graded(directory, "test")
        path = own or tests
        if path is None or (split == "test" and tests is None):
            return None
        pairs, where = read_scored_file(path), f"the file {path.name}"
        if own is None or (split == "test" and _graded(directory, "dev") is None):
            pairs, where = _half(pairs, split), f"a fixed half of {path.name}"
        digest = files_sha256(directory, [path.name])
        size = f"{len(pairs.scores):,} pairs"
        return cls(TaskDescription(directory.name, "similarity", where, size, digest, FIGURE), pairs, {})

    def texts(self) -> list[str]:
        return [*self.pairs.first, *self.pairs.second]

    def score(self, vectors: VectorsOf) -> dict[str, MetricValue]:
        """Spearman, with its standard error over redrawn pairs."""
        near = cosines(vectors(self.pairs.first), vectors(self.pairs.second))
        random = np.random.default_rng(0)
        draws = (random.integers(0, len(near), len(near)) for _ in range(DRAWS))
        spread = float(np.std([spearman(near[rows], self.pairs.scores[rows]) for rows in draws], ddof=1))
        return {FIGURE: MetricValue(spearman(near, self.pairs.scores), spread)}


def _graded(directory: Path, split: Split) -> Path | None:
    """The file of a split; one whose first line has no number in its third field is another kind of set."""
    found = sorted(directory.glob(f"*{split}.csv"))
    return next((path for path in found if is_graded(path)), None)


def is_graded(path: Path) -> bool:
    """Whether the first line ends in a number."""
    with path.open(encoding="utf-8", errors="replace") as file:
        last = file.readline().rstrip().rpartition(",")[2]
    try:
        float(last.strip('"'))
    except ValueError:
        return False
    return True


def _half(pairs: ScoredPairs, split: Split) -> ScoredPairs:
    kept = in_half(split)
    rows = [
        row
        for row, (a, b) in enumerate(zip(pairs.first, pairs.second, strict=True))
        if kept("\n".join(sorted((a, b))))
    ]
    return ScoredPairs(
        [pairs.first[row] for row in rows], [pairs.second[row] for row in rows], pairs.scores[rows]
    )
