"""Figures of merit for texts, in numpy. n rows, d dimensions.

A vector that is not finite is an error in each of them, never a cosine of 0: an encoder that fails on half of
the texts would else be as good as one that knows nothing of them.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from training.errors import VectorError

Floats = npt.NDArray[np.floating]
Rows = TypeVar("Rows", bound=Floats)

DIGITS = 6  # cosines nearer than float32 can tell apart are ties, on every machine and over HTTP


def finite(vectors: Rows, of: str) -> Rows:
    """The vectors, (n, d). Raises VectorError, with the first row, if one has NaN or an infinity."""
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise VectorError(
            f"{of}: {len(bad):,} of {len(vectors):,} vectors are not finite (NaN or infinity), the first in "
            f"row {bad[0]}; nothing can be measured with them"
        )
    return vectors


def ranks(values: Floats) -> npt.NDArray[np.float64]:
    """Ranks from 1, ties sharing their mean rank. (n,) -> (n,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # rank of the last of each group of equals
    means = last - (counts - 1) / 2.0
    return np.asarray(means[inverse], dtype=np.float64)


def spearman(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation: Pearson's correlation of the ranks. 0 when one side is constant.

    Raises:
        VectorError: a value is not finite, so it has no rank.
    """
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise VectorError("a rank correlation of values that are not finite (NaN or infinity)")
    x, y = ranks(a) - (len(a) + 1) / 2, ranks(b) - (len(b) + 1) / 2
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale else 0.0


def cosines(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    """Cosine of each pair of rows. (n, d), (n, d) -> (n,); 0 for a zero row, which has no direction.

    Raises:
        VectorError: a row is not finite.
    """
    x, y = (finite(side, name).astype(np.float64) for side, name in ((a, "first"), (b, "second")))
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    products = np.einsum("nd,nd->n", x, y)
    return np.asarray(np.divide(products, norms, out=np.zeros(len(a)), where=norms > 0))


def first_hits(
    queries: Floats, keys: Floats, right: npt.NDArray[np.bool_], left_out: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Whether a right key has the largest cosine to its query; of several, the share that is right. (n,).

    So vectors that are all alike get what chance gets, whatever the order.

    Args:
        queries: (n, d).
        keys: (m, d).
        right: (n, m), the keys that belong to a query, at least one.
        left_out: (n, m), keys that are not asked about, as the query's own text; none that is right.

    Raises:
        VectorError: a row is not finite.
    """
    scores = _scores(queries, keys, left_out)
    nearest = scores == scores.max(axis=1, keepdims=True)
    return np.asarray((nearest & right).sum(1) / nearest.sum(1))


def reciprocal_ranks(
    queries: Floats,
    keys: Floats,
    right: npt.NDArray[np.bool_],
    left_out: npt.NDArray[np.bool_],
    *,
    at: int,
) -> npt.NDArray[np.float64]:
    """1 / rank of the nearest right key, 0 beyond rank `at`; ties in expectation. (n,).

    The other arguments, and what is raised, are those of `first_hits`.
    """
    scores = _scores(queries, keys, left_out)
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    same = scores == best
    counts = zip((scores > best).sum(1), same.sum(1), (same & right).sum(1), strict=True)
    return np.array(
        [reciprocal_rank(int(above), int(tied), int(hits), at=at) for above, tied, hits in counts]
    )


def reciprocal_rank(above: int, tied: int, relevant: int, *, at: int) -> float:
    """The expected 1 / rank of the first relevant one of equals, over their orders; 0 beyond rank `at`.

    Args:
        above: how many stand before them.
        tied: how many are equal.
        relevant: how many of those are relevant, at least one.
        at: the last rank that counts.
    """
    total, none_yet = 0.0, 1.0
    for place in range(1, min(tied - relevant + 1, at - above) + 1):
        chance = none_yet * relevant / (tied - place + 1)
        total += chance / (above + place)
        none_yet -= chance
    return total


def _scores(queries: Floats, keys: Floats, left_out: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    q, k = (_unit(finite(side, name)) for side, name in ((queries, "queries"), (keys, "keys")))
    return np.where(left_out, -np.inf, np.round(q @ k.T, DIGITS))


def _unit(rows: Floats) -> npt.NDArray[np.float64]:
    wide = rows.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def spearman_values(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    """What each pair contributes to Spearman's correlation: (n,), whose mean it is.

    By the influence of a pair on the covariance of the ranks, its own product and its part in the ranks of
    the others; so the standard error is that of a mean, and two encoders are compared pair by pair.
    Source: Croux and Dehon 2010, doi 10.1007/s10260-010-0142-z, section 2.
    """
    rho, n = spearman(a, b), len(a)
    x, y = ((ranks(one) - (n + 1) / 2) / n for one in (a, b))
    scale = float(np.sqrt((x @ x) * (y @ y))) / n
    if not scale:
        return np.full(n, rho)
    influence = x * y + _mean_above(x, y) + _mean_above(y, x)
    return np.asarray(rho + (influence - influence.mean()) / scale)


def _mean_above(places: Floats, values: Floats) -> npt.NDArray[np.float64]:
    """Sum of the values whose place is above each one's, half of those at it, over n. (n,)."""
    _, inverse = np.unique(places, return_inverse=True)
    at = np.bincount(inverse, weights=values)
    above = at[::-1].cumsum()[::-1] - at / 2
    return np.asarray(above[inverse] / len(values))


def uniformity_values(vectors: Floats) -> npt.NDArray[np.float64]:
    """What each vector contributes to -log mean_{i != j} exp(-2 |v_i - v_j|^2): (n,), whose mean it is.

    0 if all are alike; vectors are L2-normalised before. The mean is over pairs, so a vector counts twice
    (Hajek's projection of a U-statistic), divided by the mean for the logarithm.
    Source: Wang and Isola 2020, arXiv 2005.10242, eq. 2, with the sign turned.
    """
    v = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    if len(v) < 2:
        return np.zeros(len(v))
    near = np.exp(-2 * (2 - 2 * v.astype(np.float64) @ v.T))
    np.fill_diagonal(near, 0.0)
    each = near.sum(1) / (len(v) - 1)  # (n,)
    return np.asarray(-np.log(each.mean()) - 2 * (each - each.mean()) / each.mean())
