"""What the closed form is made of: an item-item matrix of who took what and of texts, and what stands beside.

A user's scores are the pooled history times the matrix, plus how popular each item is. The matrix is EASE's
(`recommender.baselines.ease_of`), ItemCF's, or a mixture of both: EASE parts items that compete, and wants
many users for it; ItemCF is content with few. Texts join as further rows, as users who took all items with a
word: Jeunen et al. 2020 (CEASE), RecSys. Popular items may count for less or more than they do by themselves,
as the exponents of RP3beta have it: Paudel et al. 2016, TiiS 7.

k items.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.recommender.baselines import Floats, ease_of, item_cosine_of

SMOOTHING = 5.0  # users added to each count, so that rare items are not pushed far down by chance
KEPT = 4  # matrices; 64 MB each for 4,000 items


@dataclass(frozen=True)
class ClosedForm:
    """Settings that a start is computed from; weights are beside scores of rows of norm 1.

    Attributes:
        ease_lambda: EASE's regularisation.
        content_weight: of the items' texts; 0 for none.
        itemcf: share of ItemCF in the matrix, EASE has the rest.
        shrink: of ItemCF's cosine, in users.
        popularity_power: p of B_ij (n_i n_j)^-p, n an item's users over their mean.
        half_lives_days: of a history, mixed; without one all entries weigh alike.
        popularity: weight of how popular an item was late in histories (log, standardised).
        recent_days: which days are the last ones.
        recent: weight of log(1 + the users who took an item in the last days).
    """

    ease_lambda: float = 1000.0
    content_weight: float = 0.0
    itemcf: float = 0.0
    shrink: float = 10.0
    popularity_power: float = 0.0
    half_lives_days: tuple[float, ...] = ()
    popularity: float = 0.0
    recent_days: int = 14
    recent: float = 0.0


class Structures:
    """Item-item matrices of the same interactions and texts, which share what is costly.

    Args:
        interactions: who took what, float32 (users, k) of 0 and 1.
        texts: TF-IDF of the items' texts, float32 (k, v).
    """

    def __init__(self, interactions: Floats, texts: Floats | None) -> None:
        self._together = interactions.T @ interactions
        self._alike = None if texts is None else texts @ texts.T
        counts = np.maximum(np.diag(self._together), 1.0)
        self._popularity = counts / counts.mean()  # (k,)
        self._made: OrderedDict[tuple[str, float, float], Floats] = OrderedDict()

    def matrix(self, form: ClosedForm) -> Floats:
        """The matrix of some settings, (k, k), 0 on its diagonal; its rows have norm 1 (root mean square)."""
        total = np.zeros_like(self._together)
        if form.itemcf < 1.0:
            total += (1.0 - form.itemcf) * self._ease(form.ease_lambda, form.content_weight)
        if form.itemcf > 0.0:
            total += form.itemcf * self._itemcf(form.shrink, form.content_weight)
        if form.popularity_power:
            weights = np.asarray(self._popularity**-form.popularity_power, dtype=np.float32)
            total *= weights[:, None]
            total *= weights[None, :]
        return _of_norm_1(total)

    def _ease(self, ease_lambda: float, content_weight: float) -> Floats:
        key = ("ease", ease_lambda, content_weight)
        return self._kept(key, lambda: ease_of(self._gram(content_weight), ease_lambda))

    def _itemcf(self, shrink: float, content_weight: float) -> Floats:
        key = ("itemcf", shrink, content_weight)
        return self._kept(key, lambda: item_cosine_of(self._gram(content_weight), shrink))

    def _gram(self, content_weight: float) -> Floats:
        if self._alike is None or not content_weight:
            return self._together
        return self._together + content_weight * self._alike

    def _kept(self, key: tuple[str, float, float], make: Callable[[], Floats]) -> Floats:
        """The matrix of a key, of norm 1; those used last are kept."""
        if key not in self._made:
            self._made[key] = _of_norm_1(make())
            if len(self._made) > KEPT:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return self._made[key]


def _of_norm_1(matrix: Floats) -> Floats:
    """A matrix over the root mean square of its rows' norms; one of zeros stays as it is."""
    norm = float(np.sqrt(np.square(matrix, dtype=np.float64).sum() / max(1, len(matrix))))
    return matrix / np.float32(max(norm, 1e-12))


def standardised(values: Floats) -> Floats:
    """Mean 0 and standard deviation 1; all 0 if they are equal."""
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-6), dtype=np.float32)


def late_popularity(counts: Floats) -> Floats:
    """How popular items are by their number of late users, (k,): log, standardised."""
    return standardised(np.log(counts + SMOOTHING))
