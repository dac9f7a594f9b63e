"""What each piece of an input adds to a score: Shapley values and leave one out. Pure: it encodes nothing.

    plan -> masks of pieces to keep -> whoever drives it encodes and scores what is left -> values -> plan

A plan is a generator, so that a server can drive it from its event loop and an evaluation from a plain loop.
A contribution is what the score loses without the piece, not what caused it.

Sources: Shapley 1953; sampling by permutations, Castro et al. 2009 (doi 10.1016/j.cor.2008.04.004);
antithetic pairs, Mitchell et al. 2022 (arXiv 2104.12199).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from math import comb
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Masks: TypeAlias = npt.NDArray[np.bool_]  # [m, n]: which of n pieces are kept
Values: TypeAlias = npt.NDArray[np.float64]  # [m, c]: the score of what is kept with each of c others

ENUMERATED = 7  # pieces of which all 128 subsets are tried; sampling takes as many rows
FEWEST_PAIRS, MOST_PAIRS = 4, 16  # of permutations: before their standard error is believed, and in all
PRECISION = 0.05  # standard errors that are small enough, as a share of the largest contribution
LINEAR = 4e-6  # by how much float32 scores of a linear graph differ, as a share of the largest


@dataclass(frozen=True, slots=True)
class Contributions:
    """What the pieces of one input add to its scores with c others.

    Attributes:
        score: of the whole input, [c].
        base: of nothing left, [c].
        values: [n, c].
        errors: standard errors of the values, [n, c]; 0 where they are exact.
        is_exact: the values are no estimates.
    """

    score: Values
    base: Values
    values: Values
    errors: Values
    is_exact: bool

    @property
    def residual(self) -> Values:
        """What of score - base the values do not add up to, [c]."""
        return np.asarray(self.score - self.base - self.values.sum(axis=0))


Plan: TypeAlias = Generator[Masks, Values, Contributions]


class Method(Protocol):
    """Makes a plan for n >= 1 pieces that asks for at most so many masks, where it can do with fewer."""

    def __call__(self, pieces: int, most_masks: int) -> Plan:
        """Make it."""
        ...


def run(plan: Plan, value: Callable[[Masks], Values]) -> Contributions:
    """Drive a plan with a function from masks to values."""
    masks = next(plan)
    while True:
        try:
            masks = plan.send(value(masks))
        except StopIteration as end:
            found: Contributions = end.value
            return found


def leave_one_out(pieces: int, most_masks: int = 0) -> Plan:
    """What the score loses when one piece is left out; the residual says how far these are from adding up."""
    ends = yield _ends(pieces)
    kept = ends[1] - (yield ~np.eye(pieces, dtype=np.bool_))
    return Contributions(ends[1], ends[0], kept, np.zeros_like(kept), is_exact=True)


def shapley(pieces: int, most_masks: int) -> Plan:
    """Shapley values: the mean of what a piece adds to those before it, over all orders of the pieces.

    Few pieces are enumerated. Of more, antithetic pairs of permutations are drawn, always the same ones,
    until the standard errors are small enough, there are enough of them or the masks run out; two pairs at
    least. A score that is the sum, or the mean, of what its pieces give is recognised by the first pair, and
    solved exactly.
    """
    if pieces <= ENUMERATED:
        return (yield from _enumerated(pieces))
    return (yield from _sampled(pieces, most_masks))


METHODS: Mapping[str, Method] = {"shapley": shapley, "leave_one_out": leave_one_out}


def least_masks(pieces: int) -> int:
    """How many masks a plan for at most so many pieces may ask for, whatever it was allowed."""
    return max(1 << ENUMERATED, 4 * pieces)


def of_mean(parts: Values, base: Values) -> Values:
    """Shapley values where the score of what is left is the mean of its parts: the closed form.

    phi_i = (a_i - base + (a_i - mean of the others) (1/2 + ... + 1/n)) / n

    Args:
        parts: [n, c], n >= 2.
        base: score of nothing, [c].
    """
    n = len(parts)
    others = (parts.sum(axis=0) - parts) / (n - 1)
    return np.asarray((parts - base + (parts - others) * (1 / np.arange(2, n + 1)).sum()) / n)


def _ends(pieces: int) -> Masks:
    """Nothing, and the whole."""
    return np.array([[False] * pieces, [True] * pieces])


def _enumerated(n: int) -> Plan:
    """Over all subsets, each weighted by the share of orders in which it stands before the piece."""
    numbers = np.arange(1 << n)
    masks = (numbers[:, None] >> np.arange(n) & 1).astype(np.bool_)  # [2^n, n]
    values = yield masks
    weights = np.array([1 / (n * comb(n - 1, size)) for size in range(n)])
    found = np.empty((n, values.shape[1]))
    for piece in range(n):
        before = numbers[~masks[:, piece]]
        gains = values[before | 1 << piece] - values[before]  # [2^(n-1), c]
        found[piece] = weights[masks[before].sum(axis=1)] @ gains
    return Contributions(values[-1], values[0], found, np.zeros_like(found), is_exact=True)


def _sampled(n: int, most_masks: int) -> Plan:
    ends = yield _ends(n)
    random, each = np.random.default_rng(0), 2 * (n - 1)
    estimates: list[Values] = []
    while True:
        order = random.permutation(n)
        prefixes = np.tri(n - 1, n, dtype=np.bool_)[:, np.argsort(order)]  # [n - 1, n]: the first 1, 2, ...
        inner = yield np.concatenate([prefixes, ~prefixes[::-1]])
        there, back = (
            np.concatenate([ends[:1], half, ends[1:]]) for half in (inner[: n - 1], inner[n - 1 :])
        )  # each [n + 1, c]: of the first 0, 1, ... n of the order, and of the reverse order
        pair = _Pair(order, there, back)
        if not estimates and (exact := pair.solved()) is not None:
            return Contributions(ends[1], ends[0], exact, np.zeros_like(exact), is_exact=True)
        estimates.append(pair.estimate())
        count = len(estimates)
        if count < 2:
            continue
        values = np.mean(estimates, axis=0)
        errors = np.std(estimates, axis=0, ddof=1) / np.sqrt(count)  # [n, c]
        is_precise = count >= FEWEST_PAIRS and errors.max() <= PRECISION * np.abs(values).max()
        if is_precise or count == MOST_PAIRS or (count + 1) * each > most_masks:
            return Contributions(ends[1], ends[0], values, errors, is_exact=False)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Values along an order of the pieces, and along its reverse.

    Attributes:
        order: of the pieces, [n].
        there, back: of the first 0, 1, ... n pieces of either, [n + 1, c].
    """

    order: npt.NDArray[np.int64]
    there: Values
    back: Values

    def estimate(self) -> Values:
        """The mean of what each piece adds in both. [n, c]."""
        return self._by_piece((np.diff(self.there, axis=0) + np.diff(self.back, axis=0)[::-1]) / 2)

    def solved(self) -> Values | None:
        """The exact values of a sum or a mean of parts, which look alike from both ends; None for others."""
        scale = np.abs(np.concatenate([self.there, self.back])).max() * LINEAR
        gains = np.diff(self.there, axis=0), np.diff(self.back, axis=0)[::-1]
        if np.abs(gains[0] - gains[1]).max() <= scale:
            return self.estimate()
        sizes = np.arange(len(self.there))[:, None]
        parts = [np.diff(sizes * values, axis=0) for values in (self.there, self.back)]  # of a mean
        parts[1] = parts[1][::-1]
        if np.abs(parts[0] - parts[1]).max() <= 2 * len(self.order) * scale:
            return self._by_piece(of_mean((parts[0] + parts[1]) / 2, self.there[0]))
        return None

    def _by_piece(self, along: Values) -> Values:
        """From the places in the order to the pieces. [n, c]."""
        found = np.empty_like(along)
        found[self.order] = along
        return found
