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
EASE_LAMBDAS = (100.0, 250.0, 500.0, 1000.0, 2000.0)


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


def ease_of(gram: Floats, regularisation: float) -> Floats:
    """EASE: B = I - P diag(1 / P_jj), P = (G + lambda I)^-1, G = X'X; its diagonal is 0. float32 [k, k].

    The closed form of min |X - XB|^2 + lambda |B|^2 with diag(B) = 0. Source: Steck 2019, arXiv 1905.03375.
    """
    ridged = torch.from_numpy(gram + regularisation * np.eye(len(gram)))  # float64
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
