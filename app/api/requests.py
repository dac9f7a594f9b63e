"""What POST /encode takes: the fields around the inputs, checked, and how a body becomes them.

    bytes -> JSON object -> EncodeBody -> EncodeRequest

The inputs themselves are read by the model that they are for: `app.api.inputs`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from app.api.inputs import GivenInputs, JsonInputs
from app.api.json_values import check_values
from app.api.large import NUMBER
from app.api.service import EncodeRequest
from app.api.sparse import SparseRequest
from app.http.errors import InvalidRequest, MalformedRequest
from bundle import KINDS, InputType, OutputType, Truncate
from bundle.lexical import SPARSE
from bundle.values import NEWEST_S, OLDEST_S, BadValueError, json_type, unix_time

ONE_INPUT: dict[str, Any] = {"anyOf": [dict(kind.json_schema) for kind in KINDS.values()]}
_INPUTS_SCHEMA: dict[str, Any] = {
    "title": "Inputs",
    "anyOf": [
        *ONE_INPUT["anyOf"],
        {"type": "array", "minItems": 1, "items": ONE_INPUT, "description": "several, all for one model"},
    ],
}
NOW_SCHEMA: dict[str, Any] = {
    "title": "Now",
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "number", "minimum": int(OLDEST_S), "exclusiveMaximum": int(NEWEST_S)},
        {"type": "null"},
    ],
}
MOST_DIGITS = 9  # of a number in a query
_BOOLEANS = {"true": True, "false": False}  # in a query
MOST_SPACES = 4  # of a request: an index moves from one to another
SpaceField = Annotated[str, Field(min_length=1, max_length=128)]
NameField = Annotated[str, Field(min_length=1, max_length=64)]


class EncodeBody(BaseModel):
    """What to encode, with which encoder, and in which form to answer."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    inputs: Annotated[Any, WithJsonSchema(_INPUTS_SCHEMA)] = Field(
        description="one input of the model, or a list: " + " or ".join(kind.noun for kind in KINDS.values())
    )
    model: NameField | None = Field(None, description="default: the server's default model")
    version: NameField | None = Field(None, description="exactly this version; default: the current one")
    space: SpaceField | None = Field(
        None,
        description="the space that the vectors must be of; 412 if no loaded version gives such vectors. "
        "Without `version`, any loaded version of the model that does may answer",
    )
    spaces: Annotated[list[SpaceField], Field(min_length=1, max_length=MOST_SPACES)] | None = Field(
        None,
        description="in place of `space`, several: a block for each, by a version of the model that gives "
        "such vectors, or by another model of the same inputs; in JSON only",
    )
    adapted: bool = Field(
        False,
        description="`space` may be that of an adapter: the vectors are for a search among adapted ones, and "
        "the answer says of which space they are",
    )
    truncate: Truncate = Field(
        "none",
        description="what is done with a text that is too long: refused, or cut at the end or the start",
    )
    prompt: Annotated[str, Field(max_length=64)] | None = Field(
        None,
        description="name of a prompt that GET /models/{name} lists, to be put before every text; default: "
        'the model\'s default prompt, if it has one; "" for none',
    )
    encoding: Literal["float", "base64"] = Field(
        "float",
        description="of the vectors in a JSON answer: numbers, or base64 of their little-endian bytes",
    )
    output: Literal[OutputType, "sparse"] = Field(
        "float32",
        description="type of the vectors; all but float16 are of a space of their own; binary and ubinary "
        "have eight dimensions to a byte; sparse are weights of words, of which inner products are BM25",
    )
    input_type: InputType | None = Field(
        None,
        description="of sparse vectors: the side of BM25 that the inputs are on; default: document",
    )
    dimensions: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        None, description="length of the vectors; only those that GET /models/{name} lists"
    )
    now: Annotated[Any, WithJsonSchema(NOW_SCHEMA)] = Field(
        None,
        description="ISO 8601, or seconds since 1970: the moment that times are relative to; default: now",
    )

    @property
    def is_sparse(self) -> bool:
        """Sparse vectors are asked for."""
        return self.output == SPARSE

    def request(self, inputs: GivenInputs, number_bytes: float = NUMBER) -> EncodeRequest:
        """Say the same in the words of the domain; `number_bytes` as there. Raises InvalidRequest."""
        if self.output == SPARSE:
            raise InvalidRequest(
                "sparse vectors are of texts, as JSON or NDJSON", code="unsupported", param="output"
            )
        if self.input_type is not None:
            raise InvalidRequest(
                'input_type is of "output":"sparse"; for dense vectors a prompt says what a text is, if '
                "the model has prompts",
                code="unsupported",
                param="input_type",
            )
        return EncodeRequest(
            inputs=inputs,
            number_bytes=number_bytes,
            model=self.model,
            version=self.version,
            space=self.space,
            dim=self.dimensions,
            truncate=self.truncate,
            prompt=self.prompt,
            output=self.output,
            adapted=self.adapted,
        )

    def sparse_request(self, inputs: GivenInputs) -> SparseRequest:
        """The same of sparse vectors. Raises InvalidRequest for what they have not."""
        if self.dimensions is not None:
            raise InvalidRequest(
                "sparse vectors cannot be cut: a dimension is a word; leave it out",
                code="invalid_dimensions",
                param="dimensions",
            )
        if self.spaces is not None:
            raise InvalidRequest(
                "sparse vectors are of one model; ask for them apart", code="unsupported", param="spaces"
            )
        if self.adapted:
            raise InvalidRequest(
                "sparse vectors are never adapted; leave it out", code="unsupported", param="adapted"
            )
        return SparseRequest(
            inputs=inputs,
            input_type=self.input_type or "document",
            model=self.model,
            version=self.version,
            space=self.space,
            truncate=self.truncate,
            prompt=self.prompt,
        )


Body = TypeVar("Body", bound=BaseModel)


def parse(body: bytes, model: type[Body]) -> Body:
    """The request; what is `Any` in the model is still unchecked.

    orjson, because it refuses NaN, 1e999 and half a surrogate pair, and takes half as long as pydantic.

    Raises:
        MalformedRequest, InvalidRequest: naming the place.
    """
    return validated(load_object(body, next(iter(model.model_fields))), model)


def validated(content: Mapping[str, Any], model: type[Body]) -> Body:
    """The request. Raises InvalidRequest, naming the field."""
    fields = model.model_fields
    if not content.keys() <= fields.keys():  # of many such fields pydantic would name every one
        raise _unknown_field(next(name for name in content if name not in fields), fields)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid(error) from None


def load_object(body: bytes, field: str) -> dict[str, Any]:
    """The body's JSON object, which should hold `field`. Raises MalformedRequest, InvalidRequest."""
    check_values(body)
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(
            f"the body is not JSON in UTF-8: {error.msg}, at character {error.pos}", code="invalid_json"
        ) from None
    if not isinstance(content, dict):
        raise InvalidRequest(
            f'the body is {json_type(content)}; send an object with "{field}"', code="wrong_type"
        )
    return content


def from_options(options: Mapping[str, str]) -> EncodeBody:
    """The fields around the inputs from a query or a form, where all are strings. Raises InvalidRequest."""
    fields: dict[str, Any] = dict(options)
    if "inputs" in fields:
        raise InvalidRequest("inputs stand in the body", code="unknown_field", param="inputs")
    dimensions = options.get("dimensions", "")
    if dimensions.isascii() and dimensions.isdecimal() and len(dimensions) <= MOST_DIGITS:
        fields["dimensions"] = int(dimensions)
    if options.get("adapted") in _BOOLEANS:
        fields["adapted"] = _BOOLEANS[options["adapted"]]
    return validated({"inputs": [], **fields}, EncodeBody)


def json_inputs(value: Any, now_s: float) -> JsonInputs:
    """One input or a list of inputs, as JSON has them."""
    return JsonInputs(value if isinstance(value, list) else [value], now_s)


def moment_of(now: Any, clock_s: float) -> float:
    """Unix time of a request's `now`, or the clock's. Raises InvalidRequest."""
    if now is None:
        return clock_s
    try:
        return unix_time(now)
    except BadValueError:
        raise InvalidRequest(
            "expected an ISO 8601 time such as 2011-11-02T09:30:00Z, or seconds since 1970",
            code="invalid_time",
            param="now",
        ) from None


def _unknown_field(name: str, fields: Mapping[str, Any]) -> InvalidRequest:
    return unknown_field(nearest_field(name, fields), fields)


def nearest_field(name: str, fields: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The field that was most likely meant; None if none is near."""
    nearest = difflib.get_close_matches(name[:64], fields, n=1, cutoff=likeness)
    return nearest[0] if nearest else None


def unknown_field(nearest: str | None, fields: Iterable[str], place: str | None = None) -> InvalidRequest:
    """The error for a field that there is not, in an object at that place."""
    hint = f'did you mean "{nearest}"? ' if nearest else ""
    where = f"{place}: " if place else ""
    return InvalidRequest(
        f"{where}an unknown field; {hint}the fields are: {', '.join(fields)}",
        code="unknown_field",
        param=place,
    )


def invalid(error: ValidationError) -> InvalidRequest:
    """The first mistake, in our words where pydantic's do not help."""
    first = error.errors(include_url=False, include_input=False)[0]
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "missing":
        return InvalidRequest(f'"{name}" is missing', code="missing_field", param=name)
    told = "expected an object" if first["type"] == "model_type" else first["msg"]  # that names our class
    return InvalidRequest(f"{name}: {told}", code="invalid_value", param=name)
