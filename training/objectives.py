"""What a text encoder can learn from, one small class each: a teacher, pairs that belong together, labels.

Each holds its tokenised examples and knows its loss and its figure on examples that it holds out. They
share nothing but the encoder, so a run may have any of them together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bundle.preprocess import Prepared
from training import losses
from training.config import TextLossConfig
from training.data.stream import Rows, Stream, held_out
from training.data.tokenised import Tokenised
from training.errors import ConfigError
from training.metrics import cosines, first_hit_rate

Vectors: TypeAlias = Callable[[Sequence[Prepared]], Tensor]  # (n, d), with gradients in training


class Objective(Protocol):
    """One thing to learn from."""

    steps: int

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        """The weighted terms for the batch at a step, counted from the start of training."""
        ...

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """The figure on the held-out examples, larger is better."""
        ...


class Distillation:
    """Unlabelled texts and the teacher's vectors of them.

    Args:
        corpus: the texts.
        targets: the teacher's vectors, float16 (n, d), leading dimensions first in importance.
        config: weights of the terms.
        dimensions: lengths at which the loss is taken and averaged (Matryoshka).
    """

    def __init__(
        self,
        corpus: Tokenised,
        targets: npt.NDArray[np.float16],
        config: TextLossConfig,
        *,
        dimensions: Sequence[int],
        batch_size: int,
        seed: int,
    ) -> None:
        self._corpus, self._targets, self._config = corpus, targets, config
        self._dimensions = dimensions
        _refuse_too_few(len(corpus), "texts")
        self._rows, self._held_out = held_out(len(corpus), seed)
        self._stream = Stream(corpus.lengths[self._rows], batch_size, seed)
        self.steps = self._stream.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        rows = self._rows[self._stream.rows(step)]
        students, teachers = vectors(self._corpus.at(rows)), self._teachers(rows)
        return losses.mean_over(self._dimensions, lambda m: self._terms(students[:, :m], teachers[:, :m]))

    def _terms(self, students: Tensor, teachers: Tensor) -> dict[str, Tensor]:
        config, terms = self._config, dict[str, Tensor]()
        if config.cosine:
            terms["cosine"] = config.cosine * losses.cosine_distance(students, teachers)
        if config.mse:
            terms["mse"] = config.mse * losses.mse(students, teachers)
        if config.teacher_infonce:
            temperature = config.teacher_infonce_temperature
            terms["teacher_infonce"] = config.teacher_infonce * losses.infonce(
                students, teachers, temperature
            )
        if config.similarity_kl:
            temperature = config.similarity_kl_temperature
            terms["similarity_kl"] = config.similarity_kl * losses.similarity_kl(
                students, teachers, temperature
            )
        return terms

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`teacher_cosine`: mean cosine to the teacher's vector."""
        students = vectors(self._corpus.at(self._held_out)).numpy()
        return {"teacher_cosine": float(cosines(students, self._teachers(self._held_out).numpy()).mean())}

    def _teachers(self, rows: Rows) -> Tensor:
        return torch.from_numpy(self._targets[rows].astype(np.float32))


class Contrast:
    """Pairs that belong together; the batch's other pairs are the negatives.

    Args:
        first, second: the texts of the pairs, row by row.
        config: weight and temperature.
        dimensions: as for `Distillation`.
    """

    def __init__(
        self,
        first: Tokenised,
        second: Tokenised,
        config: TextLossConfig,
        *,
        dimensions: Sequence[int],
        batch_size: int,
        seed: int,
    ) -> None:
        self._first, self._second, self._config, self._dimensions = first, second, config, dimensions
        whole = np.intersect1d(first.kept, second.kept)  # pairs with tokens on both sides
        _refuse_too_few(len(whole), "pairs")
        rows, held = held_out(len(whole), seed)
        self._numbers, self._held_out = whole[rows], whole[held]
        lengths = first.lengths_of(self._numbers) + second.lengths_of(self._numbers)
        self._stream = Stream(lengths, batch_size, seed)
        self.steps = self._stream.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        numbers = self._numbers[self._stream.rows(step)]
        a, b = vectors(self._first.of(numbers)), vectors(self._second.of(numbers))
        weight, temperature = self._config.infonce, self._config.infonce_temperature
        return losses.mean_over(
            self._dimensions,
            lambda m: {"infonce": weight * losses.infonce(a[:, :m], b[:, :m], temperature, symmetric=True)},
        )

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`pair_first_hit`: how often a text's own partner is nearest, among all held-out partners."""
        a, b = vectors(self._first.of(self._held_out)), vectors(self._second.of(self._held_out))
        return {"pair_first_hit": first_hit_rate(a.numpy(), b.numpy())}


class Classification:
    """Labelled texts, through a linear head that is thrown away after training.

    Args:
        texts: the texts.
        labels: int64, one per original text.
        head: (d) -> (classes); trained with the encoder.
        config: the weight.
    """

    def __init__(
        self,
        texts: Tokenised,
        labels: npt.NDArray[np.int64],
        head: nn.Linear,
        config: TextLossConfig,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        self._texts, self._labels = texts, torch.from_numpy(labels[texts.kept])
        self._head, self._weight = head, config.cross_entropy
        _refuse_too_few(len(texts), "labels")
        self._rows, self._held_out = held_out(len(texts), seed)
        self._stream = Stream(texts.lengths[self._rows], batch_size, seed)
        self.steps = self._stream.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        rows = self._rows[self._stream.rows(step)]
        scores = self._head(vectors(self._texts.at(rows)))
        return {"cross_entropy": self._weight * losses.cross_entropy(scores, self._labels[rows])}

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`accuracy`: of the head."""
        scores = self._head(vectors(self._texts.at(self._held_out)))
        return {"accuracy": float((scores.argmax(-1) == self._labels[self._held_out]).float().mean())}


def _refuse_too_few(n: int, what: str) -> None:
    if n < 2:  # one to learn from, one to judge by
        raise ConfigError(f"data.{what} has {n} usable examples; at least 2 are needed")
