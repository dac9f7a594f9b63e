"""The order in which examples are seen: shuffled every epoch, like lengths together.

A batch follows from (seed, step) alone, so a resumed run sees what an uninterrupted one would have.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BUCKET_BATCHES = 16  # batches that are sorted by length together: little padding, still much chance

RowNumbers = npt.NDArray[np.int64]


class Stream:
    """Batches of row numbers, for ever.

    Args:
        lengths: of the examples, (n,); [1, 1, ...] where padding does not matter.
        batch_size: rows per batch; an epoch leaves out, by chance, the rows that would not fill one.
        seed: of the order.
    """

    def __init__(self, lengths: npt.NDArray[np.integer], batch_size: int, seed: int) -> None:
        if len(lengths) == 0:
            raise ValueError("a stream needs at least one example")
        self._lengths, self._seed = lengths, seed
        self._batch_size = min(batch_size, len(lengths))
        self._epoch, self._order = -1, np.zeros((0, 0), dtype=np.int64)

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return len(self._lengths) // self._batch_size

    def rows(self, step: int) -> RowNumbers:
        """The batch at a step, counted from the start of training. (batch_size,)."""
        epoch, position = divmod(step, self.steps)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._ordered(epoch)
        return np.asarray(self._order[position], dtype=np.int64)

    def _ordered(self, epoch: int) -> RowNumbers:
        random = np.random.default_rng([self._seed, epoch])
        used = self.steps * self._batch_size
        order = random.permutation(len(self._lengths))[:used]  # cut before sorting: the longest must not go
        size = BUCKET_BATCHES * self._batch_size
        for start in range(0, len(order), size):
            bucket = order[start : start + size]
            order[start : start + size] = bucket[np.argsort(self._lengths[bucket], kind="stable")]
        batches = order.reshape(self.steps, self._batch_size)
        return np.asarray(random.permutation(batches), dtype=np.int64)
