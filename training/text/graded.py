"""How well a text encoder orders graded pairs, whole and cut, beside its teacher."""

from __future__ import annotations

from collections.abc import Sequence

from bundle.inputs import Input
from bundle.manifest import Metric
from bundle.preprocess.text import Text
from training.task import Encode
from training.text.data.readers import ScoredPairs
from training.text.metrics import cosines, spearman
from training.text.teacher import Teacher


def graded_metrics(
    name: str, graded: ScoredPairs, encode: Encode, *, teacher: Teacher | None, dimensions: Sequence[int]
) -> dict[str, Metric]:
    """`spearman NAME`, and the same at each length; the first one with the teacher's beside it."""
    baselines = {}
    if teacher is not None:
        baselines["teacher"] = graded_spearman(
            lambda inputs: teacher.encode([_text(item) for item in inputs]), graded
        )
    metrics = {f"spearman {name}": Metric(value=graded_spearman(encode, graded), baselines=baselines)}
    for m in dimensions:
        value = graded_spearman(_cut(encode, m), graded)
        metrics[f"spearman {name} at {m} dimensions"] = Metric(value=value)
    return metrics


def graded_spearman(encode: Encode, graded: ScoredPairs) -> float:
    """Spearman's correlation of cosines with the given scores."""
    vectors = encode([Text(text) for text in (*graded.first, *graded.second)])
    half = len(graded.first)
    return spearman(cosines(vectors[:half], vectors[half:]), graded.scores)


def _cut(encode: Encode, dim: int) -> Encode:
    return lambda inputs: encode(inputs)[:, :dim]


def _text(item: Input) -> str:
    assert isinstance(item, Text), type(item)
    return item.text
