"""Maps from one space to another, fitted on vectors of the same inputs in both.

    Procrustes   a rotation (and, of scores that are no cosines, a scale): Schönemann, Psychometrika 31 (1966)
    ridge        any matrix, held near 0: Hoerl and Kennard, Technometrics 12 (1970)

After Drift-Adapter (arXiv 2509.23471), whose residual network gained nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bundle.neighbours import Floats

FOLDS = 4
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Affine:
    """v -> v W + b, and then norm 1 where the target has it.

    Attributes:
        weights: float64 [d, e].
        bias: float64 [e].
        normalizes: vectors of the target have norm 1.
    """

    weights: Doubles
    bias: Doubles
    normalizes: bool

    def __call__(self, vectors: Floats) -> Floats:
        """float32 [n, d] to float32 [n, e]."""
        turned = vectors.astype(np.float64) @ self.weights + self.bias
        if self.normalizes:
            turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return turned.astype(np.float32)


def ridge(strength: float) -> Callable[[Doubles, Doubles], Doubles]:
    """The fit of that strength, in units of a centred vector's mean squared length."""

    def fit(old: Doubles, new: Doubles) -> Doubles:
        scale = np.square(old).sum(1).mean()
        normal = old.T @ old + strength * scale * np.eye(old.shape[1])
        return np.asarray(np.linalg.solve(normal, old.T @ new))

    return fit


def procrustes(old: Doubles, new: Doubles) -> Doubles:
    """The rotation that brings centred old vectors nearest to the new ones, and its scale."""
    left, values, right = np.linalg.svd(old.T @ new, full_matrices=False)
    return np.asarray(left @ right * (values.sum() / np.square(old).sum()))


# Between two trainings of `text` .1 was best from 500 to 2,000 documents; 10 lost 6 % of the recall.
METHODS: Mapping[str, Callable[[Doubles, Doubles], Doubles]] = {
    "Procrustes": procrustes,
    **{f"ridge, lambda {strength:g}": ridge(strength) for strength in (0.03, 0.1, 0.3, 1.0)},
}


def fit(old: Floats, new: Floats, method: str, *, normalizes: bool) -> Affine:
    """Fit on pairs of rows, centred. float32 [n, d] and [n, e], n >= 2."""
    before, after = old.mean(0, dtype=np.float64), new.mean(0, dtype=np.float64)
    weights = METHODS[method](old - before, new - after)
    return Affine(weights, after - before @ weights, normalizes)


def cross_fitted(old: Floats, new: Floats, method: str, *, normalizes: bool) -> Floats:
    """Every old vector as a fit turns it that has not seen it. float32 [n, e]; n >= FOLDS."""
    turned = np.empty((len(old), new.shape[1]), np.float32)
    fold = np.random.default_rng(0).permutation(len(old)) % FOLDS
    for number in range(FOLDS):
        out = fold == number
        turned[out] = fit(old[~out], new[~out], method, normalizes=normalizes)(old[out])
    return turned
