"""Linear probe: how much of a label can be read off a vector by a straight cut. Logistic regression.

    min over W, b:  mean cross-entropy(x W + b, y) + l2 * |W|^2 / 2        by L-BFGS

Own, by torch's L-BFGS: scikit-learn would bring scipy and 150 MB for this one minimum.
n texts, d dimensions, c classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.text.suite.task import Floats

Ints = npt.NDArray[np.int64]

L2 = (1e-1, 1e-2, 1e-3, 1e-4)  # strong first: each start is the end of the one before
CHOOSING_STEPS, STEPS = 20, 60  # of L-BFGS; 100 move Banking77's accuracy by less than 0.001


@dataclass(frozen=True)
class Scale:
    """Vectors moved to mean 0 and stretched, all dimensions alike, to a mean square of 1.

    Cosine geometry stays; the same l2 means the same for every encoder and length.
    """

    mean: Floats
    factor: float

    @classmethod
    def of(cls, vectors: Floats) -> Scale:
        """Fit it to training vectors."""
        mean = vectors.mean(0)
        return cls(mean, 1.0 / max(float(np.sqrt(np.mean((vectors - mean) ** 2))), 1e-12))

    def __call__(self, vectors: Floats) -> Tensor:
        return torch.from_numpy((vectors - self.mean) * np.float32(self.factor))


def classified_right(
    fit: tuple[Floats, Ints], kept: tuple[Floats, Ints], held_out: tuple[Floats, Ints]
) -> Ints:
    """Mark those of `held_out` that are classified right: int64 (n,) of 0 and 1.

    Args:
        fit: vectors and labels to learn from.
        kept: others to choose l2 by; then they are learned from, too.
        held_out: never learned from.
    """
    scale, classes = Scale.of(fit[0]), 1 + max(int(part[1].max()) for part in (fit, kept, held_out))
    weights = torch.zeros(fit[0].shape[1] + 1, classes)
    best, chosen, most = L2[0], weights, -1.0
    for l2 in L2:
        weights = logistic(
            scale(fit[0]), torch.from_numpy(fit[1]), l2=l2, start=weights, steps=CHOOSING_STEPS
        )
        right = float((predict(weights, scale(kept[0])) == torch.from_numpy(kept[1])).float().mean())
        if right > most:
            best, chosen, most = l2, weights, right
    both = np.concatenate([fit[0], kept[0]]), np.concatenate([fit[1], kept[1]])
    final = logistic(scale(both[0]), torch.from_numpy(both[1]), l2=best, start=chosen, steps=STEPS)
    predicted = predict(final, scale(held_out[0])).numpy()
    return np.asarray(predicted == held_out[1], dtype=np.int64)


def logistic(x: Tensor, y: Tensor, *, l2: float, start: Tensor, steps: int) -> Tensor:
    """The weights at the minimum, biases in the last row: (d + 1, c)."""
    weights = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [weights],
        max_iter=steps,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(torch.addmm(weights[-1], x, weights[:-1]), y)
        value = value + l2 * weights[:-1].square().sum() / 2
        value.backward()  # type: ignore[no-untyped-call]  # torch's own
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]  # torch's own
    return weights.detach()


def predict(weights: Tensor, x: Tensor) -> Tensor:
    """The most likely class of each row, (n,)."""
    return torch.addmm(weights[-1], x, weights[:-1]).argmax(1)
