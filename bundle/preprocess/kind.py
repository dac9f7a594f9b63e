"""What callers need to know of a kind of input, in one row; nobody else asks which kind something is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from bundle.errors import ManifestError
from bundle.inputs import Input
from bundle.preprocess.base import Preprocessor, Truncate
from bundle.preprocess.facts import Facts


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
        cut: an input that is longer, so many units of it, for callers that ask for that; it remembers
            what was dropped. None where half an input means nothing.
    """

    unit: str
    measure: Callable[[Any], int]
    per_input: LimitSetting
    per_request: LimitSetting | None = None
    json_bytes: int | None = 1
    cut: Callable[[Any, int, Truncate], Input] | None = None

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
        ids: those of the names whose values are ids, which pandas may have written as floats.
        are_files: an input is the bytes of a file; a text that is no data URI is the path of one.
    """

    names: tuple[str, ...]
    are_all_needed: bool
    value: Callable[[Any], Any]
    ids: tuple[str, ...] = ()
    are_files: bool = False


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


class Load(Protocol):
    """Makes a preprocessor of its file."""

    def __call__(self, content: bytes, max_length: int, languages: Sequence[str] = (), /) -> Preprocessor:
        """Raise ManifestError for a file that is not as it should be."""
        ...


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
        optional_files: that a bundle of the kind may have besides.
        golden_tolerance: how far arrays may be from those that training prepared, which golden.json then
            has; None for kinds whose vectors tell enough.
        file: the preprocessor's file in the bundle.
        version: of the preprocessing code; part of the space id. Raise it when results change.
        load: the file's bytes, and the manifest's max_length and languages, to a preprocessor. Raises
            ManifestError.
        load_respelling: the same, to a preprocessor that reads misspelt words as they were meant; None for
            kinds that have no words.
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
    load: Load
    load_respelling: Load | None = None
    facts: type[Facts] = Facts
    media_types: Mapping[str, Callable[[bytes], Input]] = field(default_factory=dict)
    optional_files: frozenset[str] = frozenset()
    golden_tolerance: float | None = None

    def preprocessor(
        self, content: bytes, max_length: int, languages: Sequence[str] = (), *, respell: int = 0
    ) -> Preprocessor:
        """What reads the inputs of a bundle of the kind, by what its manifest says. Raises ManifestError."""
        load = self.load_respelling if respell else self.load
        if load is None:
            raise ManifestError(
                f"manifest.json: respell is {respell}, and {self.plural} have no words to spell"
            )
        return load(content, max_length, languages)
