"""features.json: the declared features of one side (user or item) with everything training fitted.

The file decides how a raw value becomes a number, so it is part of the space id. Index layout of every
vocabulary: 0 pad, 1 missing, 2 unknown, then the entries in order (training sorts them by count
descending, then by name, so that the same data gives the same file).

Two versions are read, each as its encoders were trained:

    1  entries are compared as they stand; words, entries and items count as often as they come
    2  blanks around entries mean nothing, an empty one is missing; all count once
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from bundle.errors import ManifestError
from bundle.words import first_error

PAD, MISSING, UNKNOWN, FIRST = 0, 1, 2, 3
SCHEMA_VERSION = 2  # that training writes

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Positive: TypeAlias = Annotated[int, Field(ge=1)]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    name: Name
    description: str = ""


class CategorySpec(_Spec):
    """One string out of a vocabulary; with `uppercase` the case of its letters means nothing."""

    kind: Literal["category"]
    vocabulary: list[str]
    uppercase: bool = False


class BagSpec(_Spec):
    """A set of strings out of a vocabulary, in no order; `uppercase` as in `CategorySpec`."""

    kind: Literal["bag"]
    vocabulary: list[str]
    max_length: Positive
    uppercase: bool = False


class TextSpec(_Spec):
    """Free text, read as a bag of words, max_length of them (see `bundle.preprocess.features.words`).

    With `bigrams`, pairs of neighbouring words that are in the vocabulary are entries, too; with `prefixes`,
    the beginnings of words, so many characters long.
    """

    kind: Literal["text"]
    vocabulary: list[str]
    max_length: Positive
    bigrams: bool = False
    prefixes: list[Positive] = []


class NumberSpec(_Spec):
    """A number: optionally log(1+x) of the magnitude with its sign, then standardised and clipped."""

    kind: Literal["number"]
    log1p: bool
    mean: float
    std: Annotated[float, Field(gt=0)]
    clip: Annotated[float, Field(gt=0, le=1e6)]


class TimeSpec(_Spec):
    """A moment, read as log(1 + its age in days before the request's `now`), standardised, clipped."""

    kind: Literal["time"]
    mean: float
    std: Annotated[float, Field(gt=0)]
    clip: Annotated[float, Field(gt=0, le=1e6)]


ContentSpec: TypeAlias = Annotated[
    CategorySpec | BagSpec | TextSpec | NumberSpec | TimeSpec, Field(discriminator="kind")
]


class HistorySpec(_Spec):
    """Items; each an id alone, or a record with `id`, `time`, and what `content` declares.

    The content is read of items that are not in the vocabulary. Only the newest max_length are read: by
    their times, or the first ones where there are no times. `uppercase`, of ids, as in `CategorySpec`.
    """

    kind: Literal["history"]
    vocabulary: list[str]
    max_length: Positive
    content: list[ContentSpec] = []
    uppercase: bool = False


FeatureSpec: TypeAlias = Annotated[
    CategorySpec | BagSpec | TextSpec | NumberSpec | TimeSpec | HistorySpec, Field(discriminator="kind")
]

ENTRY_FIELDS = ("id", "time")  # of a history's record; no item feature besides the id is called so


def input_names(feature: FeatureSpec) -> tuple[str, ...]:
    """The graph inputs that one feature becomes."""
    if feature.kind != "history":
        return (feature.name,)
    names = feature.name, f"{feature.name}_age"
    if not feature.content:
        return names
    return (*names, f"{feature.name}_new", *(f"{feature.name}_new_{spec.name}" for spec in feature.content))


def last_values(features: Iterable[FeatureSpec]) -> dict[str, Any]:
    """The values of one input that reach the last row of each vocabulary."""
    return {spec.name: value for spec in features if (value := _last_value(spec)) is not None}


def _last_value(spec: FeatureSpec) -> Any:
    if spec.kind == "history":
        known = list(spec.vocabulary[-1:])
        told = last_values(spec.content)
        return [*known, told] if told else known
    if spec.kind == "number" or spec.kind == "time" or not spec.vocabulary:  # noqa: PLR1714  # mypy follows this
        return None
    return list(spec.vocabulary[-1:]) if spec.kind == "bag" else spec.vocabulary[-1]


class FeatureSchema(BaseModel):
    """The content of features.json."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    schema_version: Literal[1, 2]
    side: Literal["user", "item"]
    features: Annotated[list[FeatureSpec], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> FeatureSchema:
        names = [name for feature in self.features for name in input_names(feature)]
        if len(set(names)) != len(names):
            raise ValueError("two features have the same name, or that of a history's ages")
        histories = [feature for feature in self.features if feature.kind == "history"]
        if len(histories) > 1:
            raise ValueError("there are two histories; a user has one")
        content = [spec for history in histories for spec in history.content]
        if any(spec.name in ENTRY_FIELDS for spec in content):
            raise ValueError(f"a history's content cannot be called {' or '.join(ENTRY_FIELDS)}")
        for feature in (*self.features, *content):
            vocabulary = getattr(feature, "vocabulary", [])
            if len(set(vocabulary)) != len(vocabulary):
                raise ValueError(f"the vocabulary of {feature.name!r} holds an entry twice")
            for option in ("uppercase", "prefixes"):
                if self.schema_version == 1 and getattr(feature, option, False):
                    raise ValueError(f"{option}, of {feature.name!r}, is of schema_version 2")
        return self

    @classmethod
    def from_bytes(cls, content: bytes) -> FeatureSchema:
        """Parse features.json. Raises ManifestError."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise ManifestError(f"features.json: {first_error(error)}") from None

    def to_bytes(self) -> bytes:
        """The canonical file."""
        return (self.model_dump_json(indent=1) + "\n").encode()
