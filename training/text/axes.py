"""Orthonormal axes of vectors: those that say most, and those that bring one encoder to another's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLOCK = 65_536  # rows that are float32 at a time


def principal_axes(vectors: npt.NDArray[np.floating], sample: int = 100_000) -> npt.NDArray[np.float32]:
    """Orthonormal axes of vectors (n, d), the one with the largest second moment first: (d, d).

    Not centred: turning vectors by these axes keeps every cosine, and their leading coordinates are the
    best that a cut (Matryoshka) vector can have. About `sample` vectors are used, spread over all of them:
    the first ones may be of one source.
    """
    used = np.asarray(vectors[:: max(1, len(vectors) // sample)], dtype=np.float64)
    _, axes = np.linalg.eigh(used.T @ used)  # ascending
    return np.ascontiguousarray(axes[:, ::-1]).astype(np.float32)


def centred(vectors: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
    """Vectors (n, d) less their mean, of unit length again, float16."""
    mean = vectors.mean(0, dtype=np.float64).astype(np.float32)
    whole = np.empty_like(vectors)
    for at in range(0, len(vectors), BLOCK):
        rows = vectors[at : at + BLOCK].astype(np.float32) - mean
        whole[at : at + BLOCK] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return whole


def nearest_rotation(
    vectors: npt.NDArray[np.floating], targets: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """The orthonormal (d, d) that brings vectors (n, d) nearest to targets (n, d): vectors @ it.

    Source: Schoenemann 1966, doi 10.1007/BF02289451, the orthogonal Procrustes problem.
    """
    left, _, right = np.linalg.svd(vectors.T.astype(np.float64) @ targets.astype(np.float64))
    return np.ascontiguousarray(left @ right).astype(np.float32)


def turned(vectors: npt.NDArray[np.float16], axes: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Vectors (n, d) @ axes (d, m), float16 again."""
    parts = [vectors[at : at + BLOCK].astype(np.float32) @ axes for at in range(0, len(vectors), BLOCK)]
    return np.concatenate([part.astype(np.float16) for part in parts] or [vectors[:, : axes.shape[1]]])
