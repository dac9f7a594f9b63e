"""How well a text encoder orders graded pairs, whole and cut, beside its teacher."""

from __future__ import annotations

from collections.abc import Sequence

from bundle.inputs import Input
from bundle.manifest import ERROR, Metric
from bundle.preprocess.text import Text
from training.metrics import MetricValue
from training.task import Encode
from training.text.data.readers import ScoredPairs
from training.text.metrics import cosines, spearman_values
from training.text.teacher import Teacher


def graded_metrics(
    name: str, graded: ScoredPairs, encode: Encode, *, teacher: Teacher | None, dimensions: Sequence[int]
) -> dict[str, Metric]:
    """`spearman NAME`, and the same at each length, with standard errors; the first beside the teacher's."""
    baselines = {}
    if teacher is not None:
        baselines["teacher"] = graded_spearman(
            lambda inputs: teacher.encode([_text(item) for item in inputs]), graded
        ).mean
    figures = {f"spearman {name}": graded_spearman(encode, graded)}
    figures |= {
        f"spearman {name} at {m} dimensions": graded_spearman(_cut(encode, m), graded) for m in dimensions
    }
    metrics = {figure: Metric(value=value.mean) for figure, value in figures.items()}
    metrics[f"spearman {name}"] = Metric(value=figures[f"spearman {name}"].mean, baselines=baselines)
    return metrics | {figure + ERROR: Metric(value=value.standard_error) for figure, value in figures.items()}


def graded_spearman(encode: Encode, graded: ScoredPairs) -> MetricValue:
    """Spearman's correlation of cosines with the given scores."""
    vectors = encode([Text(text) for text in (*graded.first, *graded.second)])
    half = len(graded.first)
    return MetricValue.of(spearman_values(cosines(vectors[:half], vectors[half:]), graded.scores))


def _cut(encode: Encode, dim: int) -> Encode:
    return lambda inputs: encode(inputs)[:, :dim]


def _text(item: Input) -> str:
    assert isinstance(item, Text), type(item)
    return item.text
