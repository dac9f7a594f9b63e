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
    name: str,
    graded: ScoredPairs,
    encode: Encode,
    *,
    teacher: Teacher | None,
    dimensions: Sequence[int],
    joins: str | None = None,
) -> dict[str, Metric]:
    """`spearman NAME`, and the same at each length, with standard errors; the first beside the teacher's.

    Where the encoder joins the teacher's space, the teacher called `joins`, also that across the two: each
    pair's first text by the encoder, its second one by the teacher.
    """
    baselines = {}
    figures = {f"spearman {name}": graded_spearman(encode, graded)}
    if teacher is not None:
        taught = _by(teacher)
        baselines["teacher"] = graded_spearman(taught, graded).mean
        if joins is not None:
            figures[f"spearman {name}, second texts by {joins}"] = graded_spearman(encode, graded, taught)
    figures |= {
        f"spearman {name} at {m} dimensions": graded_spearman(_cut(encode, m), graded) for m in dimensions
    }
    metrics = {figure: Metric(value=value.mean) for figure, value in figures.items()}
    metrics[f"spearman {name}"] = Metric(value=figures[f"spearman {name}"].mean, baselines=baselines)
    return metrics | {figure + ERROR: Metric(value=value.standard_error) for figure, value in figures.items()}


def graded_spearman(encode: Encode, graded: ScoredPairs, other: Encode | None = None) -> MetricValue:
    """Spearman's correlation of cosines with the given scores; `other` encodes the second texts, if given."""
    first, second = ([Text(text) for text in texts] for texts in (graded.first, graded.second))
    if other is not None:
        near = cosines(encode(first), other(second))
    else:
        vectors = encode([*first, *second])
        near = cosines(vectors[: len(first)], vectors[len(first) :])
    return MetricValue.of(spearman_values(near, graded.scores))


def _cut(encode: Encode, dim: int) -> Encode:
    return lambda inputs: encode(inputs)[:, :dim]


def _by(teacher: Teacher) -> Encode:
    return lambda inputs: teacher.encode([_text(item) for item in inputs])


def _text(item: Input) -> str:
    assert isinstance(item, Text), type(item)
    return item.text
