"""The seam between inputs and tensors: the types every kind of preprocessor shares."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from bundle.inputs import Input
from bundle.preprocess.facts import Facts

Truncate: TypeAlias = Literal["none", "end", "start"]
Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Axes: TypeAlias = Mapping[str, Sequence[int]]  # of the arrays by name, those that may be of any length

# Sums are taken in as many lanes as a register has numbers, and what is over is added in another order; of
# lengths that leave nothing over, further noughts change no bit. 8 was enough wherever it was tried.
EVEN = 8


@dataclass(frozen=True, slots=True)
class Prepared:
    """One input, ready for a batch.

    Attributes:
        arrays: unpadded, without the batch axis, for example `input_ids` int64 [t].
        cost: what the batch budget counts: tokens, or for a row of features 1 and more for lists.
        facts: what the caller is told.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    cost: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class Layout:
    """The form of a batch in the inputs of a graph; the names of its inputs say which one a graph takes.

    Attributes:
        input_names: of the graph, in order; the keys of what `collate` returns.
        collate: a batch (n >= 1) to arrays.
        is_packed: nothing is padded, so that a batch costs the sum of its inputs, not rows x longest.
        even: a batch with its free axes, but for the first, lengthened to a multiple of `EVEN` by what means
            nothing, so that a row's sums do not depend on how long its neighbours are; as it is, where the
            kind does not do so.
    """

    input_names: tuple[str, ...]
    collate: Callable[[Sequence[Prepared]], Arrays]
    is_packed: bool = False
    even: Callable[[Arrays, Axes], Arrays] = lambda arrays, axes: arrays


class Preprocessor(Protocol):
    """Turns inputs of one kind into the tensors of one graph. Thread-safe and deterministic."""

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """What graphs of this kind may take; the first one is what encoders are trained on."""
        ...

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the graph inputs of the first layout."""
        ...

    def prepare(self, inputs: Sequence[Input], truncate: Truncate = "none") -> list[Prepared]:
        """One `Prepared` per input, in order.

        Raises:
            InputError: for the first input that cannot be encoded.
        """
        ...

    def collate(self, batch: Sequence[Prepared]) -> Arrays:
        """The first layout (n >= 1): arrays with the batch axis first, padded to the longest; or packed."""
        ...

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one input."""
        ...

    def from_json(self, value: Any, now: float | None = None) -> Input:
        """An input as it stands in a request; `now` is unix time in seconds.

        Raises:
            InputError: no encoder of this kind takes such a value.
        """
        ...

    def key(self, item: Input) -> Hashable:
        """Equal for inputs that this encoder gives the same vector."""
        ...

    def extremes(self) -> Sequence[Prepared]:
        """Inputs that reach the last row of every table the graph needs for this preprocessor."""
        ...


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a text; `start` and `stop` are positions in it, None for a special token."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


@runtime_checkable
class Tokenizes(Protocol):
    """What a preprocessor can do whose inputs are taken apart into tokens."""

    def tokens(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[list[Token]]:
        """What the encoder reads of each text, uncut."""
        ...

    def of_ids(self, ids: Sequence[Any]) -> Input:
        """The input that these token ids are. Raises InputError for one that is none of this tokenizer."""
        ...

    def decode(self, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool = True) -> list[str]:
        """Texts of token ids; an id that is not in the vocabulary has none."""
        ...


@runtime_checkable
class HasTerms(Protocol):
    """What a preprocessor can do whose inputs are made of terms that can be counted: `bundle.lexical`."""

    @property
    def vocabulary(self) -> int:
        """How many different terms there may be; their numbers are below it."""
        ...

    def terms(self, prepared: Prepared) -> npt.NDArray[np.int64]:
        """The terms of an input in their order, without what stands for nothing in it. int64 [t]."""
        ...


@runtime_checkable
class KnowsById(Protocol):
    """What a preprocessor can do whose inputs may be named by an id, where they are known to be items."""

    def record_of(self, value: Any) -> Any:
        """The record of an item that is named by its id alone; anything else as it is."""
        ...


@dataclass(frozen=True, slots=True)
class Pieces:
    """An input taken apart, so that some of it can be left out.

    Attributes:
        unit: what a piece is, in the plural: `words`.
        places: where each piece is in the input, as JSON; its form is the kind's.
        keep: the input with those pieces only, bool [n]; None where nothing is left that could be encoded.
        merged: how many smaller pieces there were, which were too many; 0 if there were not.
    """

    unit: str
    places: Sequence[Mapping[str, Any]]
    keep: Callable[[npt.NDArray[np.bool_]], Input | None]
    merged: int = 0

    def __len__(self) -> int:
        return len(self.places)


@runtime_checkable
class TakesApart(Protocol):
    """What a preprocessor can do whose inputs have pieces; `bundle.shapley` says what each adds."""

    def pieces(self, item: Input, most: int, truncate: Truncate = "none") -> Pieces:
        """The pieces of an input that can be prepared, at least one and at most so many.

        Where there are more, neighbours are merged. `truncate` is what was asked for when the whole was
        prepared. Raises InputError for one that cannot be taken apart.
        """
        ...


def runs(count: int, most: int) -> list[range]:
    """Neighbours in at most `most` runs of about the same length, of `count` that there are."""
    ends = [count * run // min(count, most) for run in range(min(count, most) + 1)]
    return [range(start, stop) for start, stop in pairwise(ends)]


def evened(arrays: Arrays, axes: Axes, fill: float = 0) -> Arrays:
    """Arrays whose named axes are of a multiple of `EVEN`, filled up at the end."""
    found = dict(arrays)
    for name, free in axes.items():
        values = arrays[name]
        lengths = [one + -one % EVEN if axis in free else one for axis, one in enumerate(values.shape)]
        found[name] = np.full(lengths, fill, dtype=values.dtype)
        found[name][tuple(map(slice, values.shape))] = values
    return found


def pad(rows: Sequence[npt.NDArray[Any]], fill: float = 0) -> npt.NDArray[Any]:
    """Stack arrays of different lengths: [n, longest, ...], at least one long in every axis."""
    first = rows[0]
    if first.ndim == 1:  # nearly always
        padded = np.full((len(rows), max(1, *map(len, rows))), fill, dtype=first.dtype)
        for target, row in zip(padded, rows, strict=True):
            target[: len(row)] = row
        return padded
    longest = [max(1, *lengths) for lengths in zip(*(row.shape for row in rows), strict=True)]
    padded = np.full((len(rows), *longest), fill, dtype=first.dtype)
    for target, row in zip(padded, rows, strict=True):
        target[tuple(map(slice, row.shape))] = row
    return padded
