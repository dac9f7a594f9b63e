"""Which examples are held out: enough to decide by, no copy on both sides, every class in its share.

Knows nothing of texts or labels: copies are rows with the same key, classes are numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.data.stream import RowNumbers

SHARE, ENOUGH, MOST, SHARE_OF_FEW = 0.02, 200, 2000, 0.2
FEWEST_GROUPS = 20  # that are held out: ten answers, however often each is asked for, are ten examples
Keys = npt.NDArray[np.uint64]


def held_out_count(n: int) -> int:
    """How many of n examples: 2 %, at least 200, at most 2,000 and a fifth; one of two.

    The standard error of a rate of .5 over 200 examples is .035.
    """
    return min(max(ENOUGH, int(n * SHARE)), MOST, max(1, int(n * SHARE_OF_FEW))) if n > 1 else 0


def held_out(
    groups: RowNumbers, seed: int, classes: RowNumbers | None = None
) -> tuple[RowNumbers, RowNumbers]:
    """Row numbers for training and for validation, by chance: (n - k,), (k,).

    Args:
        groups: of each row, numbered from 0 in the order of their first rows (n,); a group stays together.
        seed: of the choice.
        classes: of each row (n,), each of which is held out in its share; one of a single group is not.
    """
    count = held_out_count(len(groups))
    if count == 0 or groups.max() == 0:
        return np.arange(len(groups)), np.zeros(0, dtype=np.int64)
    sizes = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(len(sizes))
    small = _small(sizes, count)
    if sizes[small].sum() >= 2 * count:
        order = order[small[order]]
    if classes is None:
        before = np.cumsum(sizes[order]) - sizes[order]  # rows in the groups before this one
        chosen = order[before < count][: len(sizes) - 1]
    else:
        of_group = np.zeros(len(sizes), dtype=np.int64)
        of_group[groups] = classes
        chosen = _in_shares(order, of_group, max(1, round(count * len(sizes) / len(groups))))
    held = np.isin(groups, chosen)
    return np.flatnonzero(~held), np.flatnonzero(held)


def _in_shares(order: RowNumbers, classes: RowNumbers, count: int) -> RowNumbers:
    """Choose groups class by class, each at the same distance from the last (systematic sampling)."""
    alone = np.bincount(classes)[classes] == 1
    usable = order[~alone[order]]
    if len(usable) == 0:
        return order[:count]
    by_class = usable[np.argsort(classes[usable], kind="stable")]
    places = (np.arange(min(count, len(usable) // 2)) + 0.5) * (len(usable) / min(count, len(usable) // 2))
    return np.asarray(by_class[places.astype(np.int64)])


def copies_of(parts: Sequence[Keys]) -> tuple[RowNumbers, RowNumbers]:
    """Number rows that are equal in every part, from 0 in the order of their first rows.

    Args:
        parts: of each row, a key for each part: (n,) each.

    Returns:
        The number of each row (n,), and the first row of each number (m,).
    """
    whole = parts[0]
    for part in parts[1:]:
        whole = whole * np.uint64(0x9E3779B97F4A7C15) + part
    numbers = _numbered(whole)
    _, first = np.unique(numbers, return_index=True)
    return numbers, np.asarray(first, dtype=np.int64)


def groups_of(parts: Sequence[Keys]) -> RowNumbers:
    """Number rows that must not be separated, from 0 in the order of their first rows. (n,).

    Rows belong together that share a key in any part, directly or through others. Where that leaves fewer
    than `FEWEST_GROUPS` to hold out, those of the same first part do; and where it still does, as with the
    same two texts in all of them, none.

    Args:
        parts: of each row, a key for each part, no row twice: (n,) each.
    """
    for groups in (_connected(parts), _numbered(parts[0])) if len(parts) > 1 else ():
        sizes, count = np.bincount(groups), held_out_count(len(groups))
        if sizes[_small(sizes, count)].sum() >= 2 * count:
            return groups
    return np.arange(len(parts[0]))


def _small(sizes: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.bool_]:
    """Mark groups of which what is held out has `FEWEST_GROUPS` or more."""
    return sizes <= max(1, count // FEWEST_GROUPS)


def _connected(parts: Sequence[Keys]) -> RowNumbers:
    """The connected components of rows and keys: each row takes the smallest number in its reach."""
    _, keys = np.unique(np.concatenate(parts), return_inverse=True)
    edges = keys.reshape(len(parts), -1)  # (parts, n)
    label = np.arange(edges.shape[1])
    while True:
        least = np.full(int(edges.max()) + 1, len(label), dtype=np.int64)
        for part in edges:
            np.minimum.at(least, part, label)
        reached = np.minimum.reduce([label, *(least[part] for part in edges)])
        reached = reached[reached]  # and on to what that one has reached
        if np.array_equal(reached, label):
            return _numbered(label)
        label = reached


def _numbered(values: npt.NDArray[np.generic]) -> RowNumbers:
    """Number equal values in the order of their first rows."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    place = np.empty(len(first), dtype=np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    return np.asarray(place[inverse])
