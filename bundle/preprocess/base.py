"""The seam between inputs and tensors: the types every kind of preprocessor shares."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from bundle.inputs import Input

Truncate: TypeAlias = Literal["none", "end", "start"]
Arrays: TypeAlias = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Truncation:
    """Something of an input that was longer than the encoder takes, and was cut to the limit."""

    field: str
    length: int
    limit: int
    unit: str


def told(description: str, default: Any = ()) -> Any:
    """A field of `Facts`; the description goes into the API's document."""
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the caller is told about one input; a kind with more to tell extends it.

    Attributes:
        tokens: read by the encoder; 0 for kinds without tokens. Every other field becomes a warning.
    """

    tokens: int = 0
    truncated: tuple[Truncation, ...] = told("what was cut, how long it was, and the limit")
    unknown: tuple[str, ...] = told("fields with a value that training did not see")

    @property
    def warnings(self) -> dict[str, Any]:
        """The warnings that apply, by name, as JSON."""
        named = ((name, getattr(self, name)) for name in warning_names(type(self)))  # type: ignore[arg-type]  # mypy takes it for a Facts
        return {name: _as_json(value) for name, value in named if value}


@cache
def warning_names(kind: type[Facts]) -> tuple[str, ...]:
    """The warnings that inputs of a kind can give."""
    return tuple(one.name for one in fields(kind) if one.name != "tokens")


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_json(one) for one in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


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
    """The form of a batch in the inputs of a graph; the names of its inputs say which one a graph takes.

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
        """Names of the graph inputs of the first layout."""
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

    def from_json(self, value: Any, now: float | None = None) -> Input:
        """An input as it stands in a request; `now` is unix time in seconds.

        Raises:
            InputError: no encoder of this kind takes such a value.
        """
        ...

    def key(self, item: Input) -> Hashable:
        """Equal for inputs that this encoder gives the same vector."""
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

    def decode(self, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool = True) -> list[str]:
        """Texts of token ids; an id that is not in the vocabulary has none."""
        ...


@dataclass(frozen=True, slots=True)
class LimitSetting:
    """A setting of the server that holds a limit: ENCODERY_<NAME>. Kinds may share one."""

    name: str
    default: int
    description: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on inputs that a server keeps.

    Attributes:
        unit: what is counted, in the plural.
        measure: of one input. Raises InputError for one that cannot be measured.
        per_input: the most of one input.
        per_request: the most of all inputs of a request together, if that is bounded.
        json_bytes: the most bytes of JSON that one unit takes; None if JSON is not bounded by it.
    """

    unit: str
    measure: Callable[[Any], int]
    per_input: LimitSetting
    per_request: LimitSetting | None = None
    json_bytes: int | None = 1

    @property
    def settings(self) -> tuple[LimitSetting, ...]:
        """The one or two settings that hold it."""
        return (self.per_input,) if self.per_request is None else (self.per_input, self.per_request)


# The bound on all inputs of a request that kinds without a larger one share.
CHARS_PER_REQUEST = LimitSetting(
    "max_chars_per_request",
    1_000_000,
    "most characters of all inputs of a request; an object counts as its compact JSON",
)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a file that hold the inputs of one model.

    Attributes:
        names: of the columns that are read.
        are_all_needed: a file must have all of them; otherwise one at least.
        value: a row, by column, to an input as it stands in a request. A row of JSONL may be any JSON value.
            Raises ValueError with a sentence for a row that holds no input.
    """

    names: tuple[str, ...]
    are_all_needed: bool
    value: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class TensorType:
    """A tensor that a model takes, in the words of the Open Inference Protocol; -1 is any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that was received, row by row.

    Attributes:
        rows: [n, columns].
        is_flat: it has one column, so that a row is a value.
    """

    rows: Sequence[Sequence[Any]]
    is_flat: bool


Schema: TypeAlias = Mapping[str, Any]  # of one model's inputs: `Preprocessor.schema`


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table of input kinds: all that callers need to know of a kind.

    Attributes:
        name: as in the manifest.
        noun: what a caller sends, for messages.
        plural: the same of several.
        json_schema: of an input of any model of the kind.
        examples: inputs as they stand in a request, of the bundled models.
        facts: what can be told of an input.
        limits: that a server keeps.
        columns: a model's schema, and the name of the column if there is one only, to where its inputs stand
            in files.
        tensors: a model's schema to the tensors that it takes.
        from_tensors: these to inputs as they stand in a request. Raises ValueError with a sentence.
        media_types: of a body that is one input, each with what reads it. The reader raises InputError.
        file: the preprocessor's file in the bundle.
        version: of the preprocessing code; part of the space id. Raise it when results change.
        load: the file's bytes and the manifest's max_length to a preprocessor. Raises ManifestError.
    """

    name: str
    noun: str
    plural: str
    json_schema: Schema
    examples: tuple[Any, ...]
    limits: tuple[Limit, ...]
    columns: Callable[[Schema, str | None], Columns]
    tensors: Callable[[Schema], Sequence[TensorType]]
    from_tensors: Callable[[Schema, Mapping[str, Tensor]], list[Any]]
    file: str
    version: int
    load: Callable[[bytes, int], Preprocessor]
    facts: type[Facts] = Facts
    media_types: Mapping[str, Callable[[bytes], Input]] = field(default_factory=dict)


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
