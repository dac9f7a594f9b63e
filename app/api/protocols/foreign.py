"""Bodies of other people's protocols: read leniently, and honestly.

A field that the protocol's libraries send is read, changes nothing, or is refused by name. One that nobody
knows is ignored, as the protocols' own servers do, unless it is a slip of one that is; `/encode` is strict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, WithJsonSchema

from app.api.requests import invalid, nearest_field, unknown_field
from app.http.errors import InvalidRequest
from app.http.routes import Access
from bundle.values import json_type

SLIP = 0.8  # likeness of names from which on one is taken for a slip of the other
MOST_UNKNOWN = 16  # fields of a body that are looked at for slips


class Refusal(NamedTuple):
    """Why a field is refused, and the values of it that change nothing and are taken."""

    reason: str
    harmless: tuple[Any, ...] = (None,)


class ForeignRequest(BaseModel):
    """A request of somebody else's protocol.

    Attributes:
        field: what holds the inputs, for messages.
        ignored: fields of the protocol that are taken and change nothing here.
        refused: fields of the protocol that would change the answer and cannot be had here.
        encodes: the answer has vectors, so the headers that every such route reads are documented.
        is_work: it is admitted as what is encoded is, and has its deadline.
        access: the scope that a key needs; `any` for what only tells of models.
    """

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
    field: ClassVar[str] = "inputs"
    ignored: ClassVar[tuple[str, ...]] = ()
    refused: ClassVar[Mapping[str, Refusal]] = {}
    encodes: ClassVar[bool] = True
    is_work: ClassVar[bool] = True
    access: ClassVar[Access] = "encode"

    @classmethod
    def fields(cls) -> Iterator[str]:
        """Names of what is read; of a field that is an object itself, those within."""
        objects = _objects(cls)
        for name in cls.model_fields:
            inner = objects.get(name)
            yield from [name] if inner is None else (f"{name}.{each}" for each in inner.fields())

    @classmethod
    def others(cls, which: Literal["ignored", "refused"]) -> Iterator[str]:
        """Names of what is ignored or refused, in the same way."""
        yield from getattr(cls, which)
        for name, inner in _objects(cls).items():
            yield from (f"{name}.{each}" for each in inner.others(which))


class RefusedRequest(ForeignRequest):
    """What this server does not do, whatever it is asked; its body is not looked at."""

    encodes, is_work, access = False, False, "any"


R = TypeVar("R", bound=ForeignRequest)

TEXT = {"type": "string", "minLength": 1}
Texts = Annotated[
    Any, WithJsonSchema({"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]})
]  # a text or a list of them, read by `texts`: in the API's document, what is taken


Length = Annotated[int | None, AfterValidator(lambda asked: asked if asked and asked > 0 else None)]
"""Of vectors; under 1 it is unset, as in Ollama, and in Infinity's client, which sends 0."""


@cache
def _objects(model: type[ForeignRequest]) -> Mapping[str, type[ForeignRequest]]:
    """The fields that are objects themselves, each with what it reads."""
    found = {}
    for name, field in model.model_fields.items():
        for one in (field.annotation, *get_args(field.annotation)):
            if isinstance(one, type) and issubclass(one, ForeignRequest):
                found[name] = one
        if get_origin(field.annotation) is list:
            found.pop(name, None)
    return found


def parsed(content: Mapping[str, Any], model: type[R]) -> R:
    """The request. Raises InvalidRequest, which names the first field that is wrong."""
    _check_fields(content, model)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid(error) from None


def _refused(where: str, value: Any, refusal: Refusal) -> InvalidRequest:
    """The error for a field: of a word, that it is none, before what the word would mean."""
    if any(isinstance(one, str) for one in refusal.harmless) and not isinstance(value, str):
        told = f"{where}: expected a string, this is {json_type(value)}"
        return InvalidRequest(told, code="wrong_type", param=where)
    return InvalidRequest(f"{where}: {refusal.reason}", code="unsupported", param=where)


def _check_fields(content: Mapping[str, Any], model: type[ForeignRequest], place: str = "") -> None:
    """Raise InvalidRequest for a field that is refused, or that is a slip of one that is not there."""
    fields = model.model_fields
    if not content.keys() <= fields.keys():
        for name, refusal in model.refused.items():
            if (value := content.get(name)) not in refusal.harmless:
                raise _refused(place + name, value, refusal)
        missing = [name for name in fields if name not in content]
        known = {*fields, *model.ignored, *model.refused}
        for name in islice((name for name in content if name not in known), MOST_UNKNOWN):
            if nearest := nearest_field(name.lower(), missing, likeness=SLIP):
                raise unknown_field(nearest, fields, place.rstrip(".") or None)
    for name, inner in _objects(model).items():
        if isinstance(value := content.get(name), dict):
            _check_fields(value, inner, f"{place}{name}.")
