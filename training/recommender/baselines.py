"""What a recommender encoder has to beat: popularity, ItemCF, EASE; for new items, TF-IDF.

An item-item model is a matrix [k, k]; a user's scores are its history row [k] times that matrix. Dense,
so meant for up to MOST_ITEMS.
n users, k items, v words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

MOST_ITEMS = 20_000  # 1.6 GB for each matrix of items by items


def multi_hot(histories: Sequence[Ints], items: int) -> Floats:
    """Mark the items of each user: float32 [n, items] of 0 and 1."""
    rows = np.zeros((len(histories), items), dtype=np.float32)
    for row, history in zip(rows, histories, strict=True):
        row[history] = 1.0
    return rows


def popularity(train: Floats) -> Floats:
    """Count the users of each item, [k]: the same scores for everybody."""
    return np.asarray(train.sum(axis=0), dtype=np.float32)


def item_cosine(train: Floats) -> Floats:
    """ItemCF of who took what, (n, k) of 0 and 1, without shrinkage. float32 [k, k]."""
    return item_cosine_of(train.T @ train)


def item_cosine_of(counts: Floats, shrink: float = 0.0) -> Floats:
    """ItemCF: c_ij / (sqrt(c_i c_j) + shrink), c how many users took both; diagonal 0. float32 [k, k].

    Without shrinkage the cosine between the items' columns. Sources: Sarwar et al. 2001, WWW10; shrinkage:
    Bell and Koren 2007, ICDM.
    """
    norms = np.sqrt(np.maximum(np.diag(counts), 1.0))
    similar = np.asarray(counts / (norms[:, None] * norms[None, :] + shrink), dtype=np.float32)
    np.fill_diagonal(similar, 0.0)
    return similar


def ease(train: Floats, regularisation: float) -> Floats:
    """EASE of who took what, (n, k) of 0 and 1. float32 [k, k]."""
    return ease_of(train.T @ train, regularisation)


def ease_of(gram: Floats, regularisation: float | Floats) -> Floats:
    """EASE: B = I - P diag(1 / P_jj), P = (G + lambda I)^-1, G = X'X; its diagonal is 0. float32 [k, k].

    The closed form of min |X - XB|^2 + lambda |B|^2 with diag(B) = 0. Source: Steck 2019, arXiv 1905.03375.
    lambda may be of each item, [k]: lambda + p / (1 - p) diag(G) is EDLAE, which drops out entries of X with
    probability p (Steck 2020, NeurIPS).
    """
    ridge = np.broadcast_to(np.asarray(regularisation, dtype=np.float64), len(gram))
    ridged = torch.from_numpy(gram + np.diag(ridge))  # float64
    precision = torch.cholesky_inverse(torch.linalg.cholesky(ridged)).numpy()  # half the work of an inverse
    weights = precision / -np.diag(precision)[None, :]
    np.fill_diagonal(weights, 0.0)
    return weights.astype(np.float32)


def tfidf(texts: Sequence[Sequence[str]]) -> Floats:
    """L2-normalised rows of tf * (log((1 + k) / (1 + df)) + 1). float32 [k, v].

    A user's content profile is the sum of its history's rows; the score is the inner product with it.
    """
    index = {word: column for column, word in enumerate(sorted({word for text in texts for word in text}))}
    counts = np.zeros((len(texts), max(1, len(index))), dtype=np.float32)
    for row, text in zip(counts, texts, strict=True):
        for word in text:
            row[index[word]] += 1.0
    weights = counts * (np.log((1.0 + len(texts)) / (1.0 + (counts > 0).sum(0))) + 1.0)
    norms = np.linalg.norm(weights, axis=1, keepdims=True)
    return np.asarray(weights / np.maximum(norms, 1e-9), dtype=np.float32)


def tfidf_cosine(texts: Sequence[Sequence[str]]) -> Floats:
    """Inner products of all rows of `tfidf`, which are never all there at once. float32 [k, k]."""
    index = {word: column for column, word in enumerate(sorted({word for text in texts for word in text}))}
    places = np.array(
        [(row, index[word]) for row, text in enumerate(texts) for word in text], dtype=np.int64
    ).reshape(-1, 2)
    rows, counts = np.unique(places, axis=0, return_counts=True)  # (entries, 2)
    frequency = np.bincount(rows[:, 1], minlength=max(1, len(index)))
    weights = counts * (np.log((1.0 + len(texts)) / (1.0 + frequency)) + 1.0)[rows[:, 1]]
    norms = np.sqrt(np.bincount(rows[:, 0], weights=weights**2, minlength=len(texts)))
    weights = (weights / norms[rows[:, 0]]).astype(np.float32)
    by_word = np.argsort(rows[:, 1], kind="stable")
    alike = np.zeros((len(texts), len(texts)), dtype=np.float32)
    for entries in np.split(by_word, np.cumsum(frequency)[:-1]):  # of one word, in few texts
        having = rows[entries, 0]
        alike[np.ix_(having, having)] += np.outer(weights[entries], weights[entries])
    return alike


def kernel_ridge(known: Floats, alike: Floats, ridge: float) -> Floats:
    """How much of each known item is in each item: (K + ridge I)^-1 A. float32 [k, m].

    The prediction of kernel ridge regression, Y'(K + ridge I)^-1 a, for all m items, without its targets Y.

    Args:
        known: K, similarities of the known items, [k, k].
        alike: A, those of known items and all items, [k, m].
        ridge: regularisation, above 0.
    """
    matrix = torch.from_numpy(known + ridge * np.eye(len(known)))  # float64
    factor = torch.linalg.cholesky(matrix)
    solved = torch.cholesky_solve(torch.from_numpy(alike.astype(np.float64)), factor)
    return np.asarray(solved.numpy(), dtype=np.float32)
