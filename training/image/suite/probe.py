"""A linear probe: ridge regression onto the classes, its strength chosen by leaving each picture out.

In closed form: a fit without row i says (f_i - h_i y_i) / (1 - h_i) of it, where f is the whole fit and h the
diagonal of its hat matrix (Golub, Heath and Wahba 1979).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.metrics import MetricValue

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
Matrix = npt.NDArray[np.float64]


class _Fit(NamedTuple):
    left_out: float
    weights: Matrix  # [d + 1, classes]


def probe(
    train: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    test: npt.NDArray[np.float32],
    right: npt.NDArray[np.int64],
) -> MetricValue:
    """How often the probe of the training vectors [n, d] names the class of those of the test [m, d]."""
    classes = int(max(labels.max(), right.max())) + 1
    inputs, targets = _with_one(train), np.eye(classes)[labels] * 2 - 1  # [n, d + 1], [n, classes]
    best = max(
        (_fit(inputs, targets, labels, strength) for strength in STRENGTHS), key=lambda fit: fit.left_out
    )
    found = (_with_one(test) @ best.weights).argmax(1) == right
    value = MetricValue.of(found.astype(np.float64))
    return value


def _fit(inputs: Matrix, targets: Matrix, labels: npt.NDArray[np.int64], strength: float) -> _Fit:
    inverse = np.linalg.inv(inputs.T @ inputs + strength * np.eye(inputs.shape[1]))
    weights = inverse @ inputs.T @ targets
    leverage = ((inputs @ inverse) * inputs).sum(1, keepdims=True)  # [n, 1]
    fitted = inputs @ weights
    left_out = (fitted - leverage * targets) / (1 - leverage).clip(1e-9)
    return _Fit(float((left_out.argmax(1) == labels).mean()), weights)


def _with_one(vectors: npt.NDArray[np.float32]) -> Matrix:
    return np.concatenate([vectors, np.ones((len(vectors), 1))], axis=1).astype(np.float64)
