"""Which examples of an objective are learned from, in which order, and which are held out to measure by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from training.console import say
from training.data.holdout import copies_of, groups_of, held_out
from training.data.stream import RowNumbers, Stream
from training.errors import ConfigError
from training.text.data.tokenised import Tokenised

GROUPED = 2  # leading parts whose equal texts stay together; hard negatives come from the others' texts


class Split:
    """Numbers of the examples that are whole: to learn from, in batches, and to measure.

    Of the copies of one that is held out, one is measured, or it would count as more than it says; and none
    is learned from.

    Args:
        texts: the parts of an example, row by row; one without a token leaves its example out.
        batch_size: examples per step.
        seed: of the order and of what is held out.
        key: of [data], for the message.
        classes: of the examples, each of which is held out in its share.
        given: numbers of the examples to measure by, from files of their own; the others are all learned
            from but for copies of these.

    Raises:
        ConfigError: there are fewer than two that differ: one to learn from, one to measure.
    """

    def __init__(
        self,
        texts: Sequence[Tokenised],
        batch_size: int,
        seed: int,
        *,
        key: str,
        classes: RowNumbers | None = None,
        given: RowNumbers | None = None,
    ) -> None:
        whole = reduce(np.intersect1d, [part.kept for part in texts])
        if len(whole) < 2:
            raise ConfigError(f"data.{key} has {len(whole)} usable examples; at least 2 are needed")
        keys = [part.keys_of(whole) for part in texts[:GROUPED]]
        numbers, first = copies_of(keys)
        if given is None:
            chosen = None if classes is None else classes[whole[first]]
            learned, measured = held_out(groups_of([part[first] for part in keys]), seed, chosen)
            rows, held = np.flatnonzero(np.isin(numbers, learned)), first[measured]
        else:
            held = np.flatnonzero(np.isin(whole, given))
            rows = np.flatnonzero(~np.isin(numbers, numbers[held]))
            if left_out := len(whole) - len(rows) - len(held):
                say(f"data.{key}: {left_out:,} examples that data.validation.{key} has, too, are not learned")
        if not len(rows) or not len(held):
            raise ConfigError(_too_few(key, len(rows), len(held), given is not None))
        self.learned: RowNumbers = whole[rows]
        self.held_out: RowNumbers = whole[held]
        self.batch_size = min(batch_size, len(rows))
        lengths = sum(part.lengths_of(self.learned) for part in texts)
        self._stream = Stream(np.asarray(lengths, dtype=np.int64), batch_size, seed)

    @property
    def steps(self) -> int:
        """Batches in one pass."""
        return self._stream.steps

    def batch(self, step: int) -> RowNumbers:
        """Numbers of the examples of a step."""
        return self.learned[self._stream.rows(step)]


def _too_few(key: str, learned: int, measured: int, given: bool) -> str:
    if not given:
        return f"all {learned + measured:,} examples of data.{key} are copies of one; at least 2 must differ"
    if measured:
        return f"data.validation.{key} has all examples of data.{key}; none is left to learn from"
    return f"data.validation.{key} has no usable example; leave it out, and a part of data.{key} is held out"
