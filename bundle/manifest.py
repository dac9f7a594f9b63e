"""manifest.json: what a bundle says about itself, parsed strictly.

A pydantic model, since a file is an edge. `space` is not a label somebody chose: it is computed from
everything that decides the numbers, and the loader computes it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from bundle.errors import ManifestError
from bundle.lexical import LEXICAL, SPARSE
from bundle.quantize import FLOATS, OutputType
from bundle.words import DIGEST, LANGUAGE, NAME, first_error

SCHEMA_VERSION = 1
TEST = ", test"  # ends the name of a figure of a test split
ERROR = ", standard error"  # ends the name of a figure's standard error

Name: TypeAlias = Annotated[str, StringConstraints(pattern=NAME)]
Digest: TypeAlias = Annotated[str, StringConstraints(pattern=DIGEST)]
SpaceId: TypeAlias = Annotated[str, StringConstraints(pattern=r"^sp_[0-9a-f]{32}$")]
Language: TypeAlias = Annotated[str, StringConstraints(pattern=LANGUAGE)]
Positive: TypeAlias = Annotated[int, Field(ge=1, lt=1 << 31)]
Long: TypeAlias = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]  # what JSON parsers read without loss


def _a_moment(text: str) -> str:
    """The text itself, if it is a date and time that every system can tell as unix time."""
    try:
        datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError("expected a date and time as in 2026-01-31T12:00:00Z") from None
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class FileEntry(_Part):
    """A file of the bundle."""

    sha256: Digest
    size: Annotated[Long, Field(ge=0)]


class Metric(_Part):
    """A figure on real data, with what to compare it to.

    Attributes:
        value: on the named split.
        baselines: the same figure for other methods, for example {"teacher": 0.86}.
    """

    value: float
    baselines: dict[str, float] = {}


class Parity(_Part):
    """The distance of onnxruntime from torch, over the export's probe inputs.

    Attributes:
        inputs: how many were compared.
        max_abs_diff: torch against onnxruntime, each alone.
        batch_max_abs_diff: each alone against the same inside padded batches.
    """

    inputs: Positive
    max_abs_diff: float
    batch_max_abs_diff: float


class Trained(_Part):
    """The origin of an encoder."""

    created: Annotated[str, AfterValidator(_a_moment)]
    git_commit: str
    config_sha256: Digest
    data_sha256: Digest
    seed: Long
    libraries: dict[str, str]
    metrics: dict[str, Metric]


class Reference(_Part):
    """A published version of a model."""

    name: Name
    version: Name


class Joined(_Part):
    """The space of another encoder, in which an encoder was trained to be compared.

    Attributes:
        name, version: the published encoder that was followed.
        space: its id, which is a digest of all that decides that encoder's numbers.
    """

    name: Name
    version: Name
    space: SpaceId


class Adapts(_Part):
    """What an adapter turns into what, and what it was fitted on.

    Attributes:
        source: the encoder whose vectors it takes.
        target: the encoder whose vectors they are turned towards; they are near those, not equal to them.
        kind: of the inputs of both.
        documents: inputs that both encoded for the fit.
        method: of the fit, for people.
    """

    source: Joined
    target: Joined
    kind: str
    documents: Positive
    method: str


class Manifest(_Part):
    """The content of manifest.json.

    Attributes:
        kind: a row of `bundle.preprocess.KINDS`.
        preprocess_version: of the preprocessing code that the encoder was trained with.
        space: vectors may be compared only if their spaces are equal.
        space_members: digests of the encoders that share the space, this one's among them.
        peers: the other encoders of the space, published together with this one.
        joins: a space of another encoder that these vectors may be compared in as well; training saw to it.
        adapts: of an adapter, the two spaces that it lies between. Its own is neither of them.
        dim: length of a vector.
        dimensions: lengths a vector may be cut to (Matryoshka), `dim` included, descending.
        normalized: every vector has L2 norm 1.
        metric: how two vectors of the space are compared.
        max_length: most tokens the encoder reads; 1 for features.
        prompts: name to text that the encoder was trained to find before an input, as `query: `. What they
            are for is to be compared across: all of them are of one space.
        default_prompt: the one that is put before an input unless another is asked for.
        languages: that the encoder was trained for, by ISO 639-1; empty where that is not known, or nothing
            to the kind.
        respell: version of the rule by which misspelt words are read as they were meant (docs/bundle.md); 0
            for an encoder that reads them as they stand.
        not_for: what it should not be used for, in words.
        files: every file of the bundle but this one.
        digest: SHA-256 of all the rest, so that the manifest is as hard to change unnoticed as the files.
    """

    schema_version: Literal[1]
    name: Name
    version: Name
    description: str
    kind: str
    preprocess_version: Positive
    space: str
    space_members: Annotated[list[Digest], Field(min_length=1)]
    peers: list[Reference]
    joins: Joined | None = None
    adapts: Adapts | None = None
    dim: Positive
    dimensions: list[Positive]
    normalized: bool
    metric: Literal["cosine", "inner_product"]
    max_length: Positive
    prompts: dict[str, str] = {}
    default_prompt: str | None = None
    languages: list[Language] = []
    respell: Literal[0, 1] = 0
    not_for: str = ""
    opset: Positive
    files: dict[str, FileEntry]
    parity: Parity
    trained: Trained
    digest: str = ""

    @model_validator(mode="after")
    def _default_is_there(self) -> Manifest:
        if self.default_prompt is not None and self.default_prompt not in self.prompts:
            raise ValueError(f"default_prompt {self.default_prompt!r} is none of the prompts")
        return self

    def sealed(self) -> Manifest:
        """Return the manifest with its own digest."""
        return self.model_copy(update={"digest": self.expected_digest()})

    def expected_digest(self) -> str:
        """What `digest` must be."""
        rest = self._content()
        del rest["digest"]
        return hashlib.sha256(canonical_json(rest)).hexdigest()

    def encoder_digest(self, preprocessor_file: str) -> str:
        """SHA-256 over all that decides this encoder's numbers."""
        decides: dict[str, Any] = {
            "kind": self.kind,
            "preprocess_version": self.preprocess_version,
            "graph": self.files["model.onnx"].sha256,
            "preprocessor": self.files[preprocessor_file].sha256,
            "max_length": self.max_length,
            "normalized": self.normalized,
            "metric": self.metric,
        }
        if self.prompts:
            decides |= {"prompts": self.prompts, "default_prompt": self.default_prompt}
        if self.adapts:
            decides |= {"source": self.adapts.source.space}
        if self.respell:
            decides |= {"respell": self.respell}
        return hashlib.sha256(canonical_json(decides)).hexdigest()

    def sparse_space(self, preprocessor_file: str) -> str | None:
        """The space of sparse vectors, which no weight decides; None for a bundle without lexical.json."""
        if LEXICAL not in self.files:
            return None
        decides = {
            "kind": self.kind,
            "preprocess_version": self.preprocess_version,
            "preprocessor": self.files[preprocessor_file].sha256,
            "lexical": self.files[LEXICAL].sha256,
        } | ({"respell": self.respell} if self.respell else {})
        return f"{space_id([hashlib.sha256(canonical_json(decides)).hexdigest()])}+{SPARSE}"

    def prompt(self, name: str | None) -> str | None:
        """The text of a prompt; of the default one for None, and empty for "". None if there is no such."""
        chosen = self.default_prompt if name is None else name
        return self.prompts.get(chosen) if chosen else ""

    def space_of(self, dim: int, output: OutputType = "float32", *, unit: bool = False) -> str:
        """The space of vectors cut to `dim`, in that type: other lengths or bits cannot be compared.

        Args:
            dim: length of the vectors.
            output: their type.
            unit: they were given norm 1, whether or not the encoder does that. Of an encoder that does not,
                these are others: their inner products are cosines.
        """
        return self.spaces_of(dim, output, unit=unit)[0]

    def spaces_of(self, dim: int, output: OutputType = "float32", *, unit: bool = False) -> list[str]:
        """The spaces that such vectors may be compared in: their own, then the one that is joined."""
        cut = "" if dim == self.dim else f"@{dim}"
        cut += "+unit" if unit and not self.normalized else ""
        cut += "" if output in FLOATS else f"+{output}"
        return [f"{space}{cut}" for space in (self.space, *([self.joins.space] if self.joins else []))]

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Parse manifest.json. Raises ManifestError that names the field."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise ManifestError(f"manifest.json: {first_error(error)}") from None

    def to_bytes(self) -> bytes:
        """The file as written."""
        return (json.dumps(self._content(), indent=1, sort_keys=True) + "\n").encode()

    def _content(self) -> dict[str, Any]:
        """What is written. Fields that came later are left out where they say nothing, for old digests."""
        silent = {name for name in _LATER if not getattr(self, name)}
        if self.prompts:
            silent.discard("default_prompt")  # which stood beside them from the first, if as null
        return self.model_dump(mode="json", exclude=silent)


_LATER = ("prompts", "default_prompt", "joins", "adapts", "languages", "respell", "not_for")


def reported(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """The figures to quote: those of test splits, and where there are none all but those of validation."""
    test = {name: one for name, one in metrics.items() if name.removesuffix(ERROR).endswith(TEST)}
    return test or {name: one for name, one in metrics.items() if not name.startswith("validation ")}


def space_id(encoder_digests: Iterable[str]) -> str:
    """The id of the space that these encoders share."""
    joined = "\n".join(sorted(encoder_digests)).encode()
    return f"sp_{hashlib.sha256(joined).hexdigest()[:32]}"


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """One byte string per value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
