"""Linear probe: how much of a label can be read off a vector by a straight cut. Logistic regression.

    min over W, b:  mean cross-entropy(x W + b, y) + l2 * |W|^2 / 2        by L-BFGS

Own, by torch's L-BFGS: scikit-learn would bring scipy and 150 MB for this one minimum.
n texts, d dimensions, c classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.text.metrics import finite
from training.text.suite.task import Floats

Ints = npt.NDArray[np.int64]

L2 = (1e-1, 1e-2, 1e-3, 1e-4)  # strong first: each start is the end of the one before
FOLDS = 3
# Largest entry of the gradient at the end. 1e-4 is scikit-learn's, and float32 ends at some 2e-5.
CHOOSING_GRADIENT, GRADIENT = 3e-4, 5e-5
STEPS = 2000  # far more than any fit here takes: 50 to 300


@dataclass(frozen=True)
class Scale:
    """Vectors moved to mean 0 and stretched, all dimensions alike, to a mean square of 1.

    Cosine geometry stays; the same l2 means the same for every encoder and length.
    """

    mean: Floats
    factor: float

    @classmethod
    def of(cls, vectors: Floats) -> Scale:
        """Fit it to training vectors. Vectors that are all alike stay at 0."""
        mean = vectors.mean(0)
        spread = float(np.sqrt(np.mean((vectors - mean) ** 2)))
        return cls(mean, 1.0 / spread if spread > 1e-6 else 0.0)  # below: what float32 rounds

    def __call__(self, vectors: Floats) -> Tensor:
        return torch.from_numpy((vectors - self.mean) * np.float32(self.factor))


@dataclass(frozen=True)
class Probed:
    """What a probe made of held-out texts.

    Attributes:
        right: 1 for each that is classified right, else 0. int64 [n].
        l2: the weight that was chosen.
        gradient: the largest entry of the gradient where the fit ended.
    """

    right: Ints
    l2: float
    gradient: float


@dataclass(frozen=True)
class Fit:
    """The weights at the minimum (d + 1, c), biases last, and the largest entry of the gradient."""

    weights: Tensor
    gradient: float


def probe(train: tuple[Floats, Ints], folds: Ints, judged: tuple[Floats, Ints]) -> Probed:
    """Choose l2 on the training texts, fit all of them, and classify others.

    Args:
        train: vectors and labels to learn from.
        folds: of the training texts, which part of the cross-validation each is in. int64 [n].
        judged: vectors and labels that nothing is learned from.

    Raises:
        VectorError: a vector is not finite.
    """
    classes = 1 + max(int(train[1].max()), int(judged[1].max()))
    x, held_out = finite(train[0], "training texts"), finite(judged[0], "judged texts")
    l2 = simplest(_cross_validated(x, train[1], folds, classes))
    scale = Scale.of(x)
    *_, fit = path(scale(x), torch.from_numpy(train[1]), classes, L2[: L2.index(l2) + 1], GRADIENT)
    predicted = predict(fit.weights, scale(held_out)).numpy()
    return Probed(np.asarray(predicted == judged[1], dtype=np.int64), l2, fit.gradient)


def simplest(right: npt.NDArray[np.float64]) -> float:
    """The strongest of L2 whose accuracy is within one standard error of the best one's.

    Near ties are then decided alike for every encoder and length, and not by a few texts.

    Args:
        right: whether a text was classified right, by each of L2. [len(L2), n].

    Source: Breiman et al. 1984, Classification and Regression Trees; Hastie et al. 2009, section 7.10.
    """
    accuracy = right.mean(axis=1)
    best = int(accuracy.argmax())
    error = float(right[best].std(ddof=1)) / right.shape[1] ** 0.5
    return L2[int(np.flatnonzero(accuracy >= accuracy[best] - error)[0])]


def _cross_validated(x: Floats, y: Ints, folds: Ints, classes: int) -> npt.NDArray[np.float64]:
    """Whether each text is classified right by what the other folds teach, by each of L2. [len(L2), n]."""
    right = np.zeros((len(L2), len(x)))
    for fold in np.unique(folds):
        out = folds == fold
        scale = Scale.of(x[~out])
        fits = path(scale(x[~out]), torch.from_numpy(y[~out]), classes, L2, CHOOSING_GRADIENT)
        for row, fit in enumerate(fits):
            right[row, out] = predict(fit.weights, scale(x[out])).numpy() == y[out]
    return right


def path(x: Tensor, y: Tensor, classes: int, weights: tuple[float, ...], gradient: float) -> Iterator[Fit]:
    """A fit for each l2, each started where the one before ended."""
    start = torch.zeros(x.shape[1] + 1, classes)
    for l2 in weights:
        fit = logistic(x, y, l2=l2, start=start, gradient=gradient)
        start = fit.weights
        yield fit


def logistic(x: Tensor, y: Tensor, *, l2: float, start: Tensor, gradient: float) -> Fit:
    """The minimum, as near as no entry of the gradient is above `gradient`."""
    weights = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [weights],
        max_iter=STEPS,
        history_size=10,
        line_search_fn="strong_wolfe",
        tolerance_grad=gradient,
        tolerance_change=0.0,
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(torch.addmm(weights[-1], x, weights[:-1]), y)
        value = value + l2 * weights[:-1].square().sum() / 2
        value.backward()  # type: ignore[no-untyped-call]  # torch's own
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]  # torch's own
    loss()
    assert weights.grad is not None
    return Fit(weights.detach(), float(weights.grad.abs().max()))


def predict(weights: Tensor, x: Tensor) -> Tensor:
    """The most likely class of each row, (n,)."""
    return torch.addmm(weights[-1], x, weights[:-1]).argmax(1)
