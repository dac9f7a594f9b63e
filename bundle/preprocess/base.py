"""The seam between inputs and tensors: the types every kind of preprocessor shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from bundle.inputs import Input

Truncate: TypeAlias = Literal["none", "end", "start"]
Arrays: TypeAlias = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Cut:
    """Something of an input that was longer than the encoder takes, and was cut."""

    field: str
    length: int
    limit: int
    unit: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the caller is told about one input.

    Attributes:
        tokens: tokens the encoder reads (0 for kinds without tokens).
        truncated: what was cut.
        unknown: names of the fields with a value that training did not see.
        new_entries: places in a history of items that training did not see, encoded from their content.
        unknown_entries: places of those of which nothing is told; they are skipped. All others are known.
        empty_history: a declared history held nothing the encoder knows.
    """

    tokens: int = 0
    truncated: tuple[Cut, ...] = ()
    unknown: tuple[str, ...] = ()
    new_entries: tuple[int, ...] = ()
    unknown_entries: tuple[int, ...] = ()
    empty_history: bool = False

    @property
    def noteworthy(self) -> bool:
        """Whether the answer carries a warning for this input."""
        return bool(self.truncated or self.unknown or self.new_entries or self.empty_history)


@dataclass(frozen=True, slots=True)
class Prepared:
    """One input, ready for a batch.

    Attributes:
        arrays: unpadded, without the batch axis, for example `input_ids` int64 [t].
        cost: what the batch budget counts: tokens, or 1 for a row of features.
        facts: what the caller is told.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    cost: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class Layout:
    """How a batch lies in the inputs of a graph; the names of its inputs say which one a graph takes.

    Attributes:
        input_names: of the graph, in order; the keys of what `collate` returns.
        collate: a batch (n >= 1) to arrays.
        is_packed: nothing is padded, so that a batch costs the sum of its inputs, not rows x longest.
    """

    input_names: tuple[str, ...]
    collate: Callable[[Sequence[Prepared]], Arrays]
    is_packed: bool = False


class Preprocessor(Protocol):
    """Turns inputs of one kind into the tensors of one graph. Thread-safe and deterministic."""

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """What graphs of this kind may take; the first one is what encoders are trained on."""
        ...

    @property
    def input_names(self) -> tuple[str, ...]:
        """Those of the first layout."""
        ...

    @property
    def uses_now(self) -> bool:
        """Whether a vector depends on the moment it is asked for."""
        ...

    def prepare(self, inputs: Sequence[Input], truncate: Truncate = "none") -> list[Prepared]:
        """One `Prepared` per input, in order.

        Raises:
            InputError: for the first input that cannot be encoded.
        """
        ...

    def collate(self, batch: Sequence[Prepared]) -> Arrays:
        """The first layout: arrays with the batch axis first, padded to the longest of the batch (n >= 1)."""
        ...

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one input."""
        ...

    def to_json(self, item: Input) -> Any:
        """The input as it stands in a request's `inputs`."""
        ...

    def from_json(self, value: Any, now: float | None = None) -> Input:
        """The inverse of `to_json`."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table of input kinds.

    Attributes:
        name: as in the manifest.
        input_type: the domain input.
        noun: what a caller sends, for error messages.
        file: the preprocessor's file in the bundle.
        version: of the preprocessing code; part of the space id. Raise it when results change.
        load: the file's bytes and the manifest's max_length to a preprocessor. Raises ManifestError.
    """

    name: str
    input_type: type[Input]
    noun: str
    file: str
    version: int
    load: Callable[[bytes, int], Preprocessor]


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
