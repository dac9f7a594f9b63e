"""What POST /encode takes, and how JSON becomes domain inputs. All limits are checked here, before any work.

    bytes -> JSON -> EncodeRequest -> list[Text | Features]

A new kind of input is one more row in `_INPUTS`. `inputs` is checked by hand: a pydantic union would
report every branch that failed, and validate each of thousands of items in Python.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from app.api.encoding import Ask
from app.errors import InvalidRequest, MalformedRequest
from app.settings import Settings
from bundle import Features, Input, InputError, OutputType, Text, Truncate

_YEAR_1_S, _YEAR_10000_S = -62_135_596_800, 253_402_300_800

ONE_INPUT: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1, "description": "a text"},
        {"type": "object", "description": "features, as GET /models/{name}/schema declares them"},
    ]
}
_INPUTS_SCHEMA: dict[str, Any] = {
    "title": "Inputs",
    "anyOf": [
        *ONE_INPUT["anyOf"],
        {"type": "array", "minItems": 1, "items": ONE_INPUT, "description": "several of one kind"},
    ],
}
NOW_SCHEMA: dict[str, Any] = {
    "title": "Now",
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "number", "minimum": _YEAR_1_S, "exclusiveMaximum": _YEAR_10000_S},
        {"type": "null"},
    ],
}
NameField = Annotated[str, Field(min_length=1, max_length=64)]


class EncodeRequest(BaseModel):
    """What to encode, with which encoder, and in which form to answer."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    inputs: Annotated[Any, WithJsonSchema(_INPUTS_SCHEMA)] = Field(
        description="a text, an object of features, or a list of one or the other"
    )
    model: NameField | None = Field(None, description="default: the server's default model")
    version: NameField | None = Field(None, description="exactly this version; default: the current one")
    space: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None,
        description="the space that the vectors must be of; 412 if no loaded version gives such vectors. "
        "Without `version`, any loaded version of the model that does may answer",
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
    output: OutputType = Field(
        "float32",
        description="type of the vectors; all but float16 are of a space of their own; binary and ubinary "
        "have eight dimensions to a byte",
    )
    dimensions: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        None, description="length of the vectors; only those that GET /models/{name} lists"
    )
    now: Annotated[Any, WithJsonSchema(NOW_SCHEMA)] = Field(
        None,
        description="ISO 8601, or seconds since 1970: the moment that times are relative to; default: now",
    )


def ask_of(asked: EncodeRequest, inputs: Sequence[Input]) -> Ask:
    """The same in the words of the domain."""
    return Ask(
        inputs=inputs,
        model=asked.model,
        version=asked.version,
        space=asked.space,
        dim=asked.dimensions,
        truncate=asked.truncate,
        prompt=asked.prompt,
        output=asked.output,
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
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _invalid(error, model) from None


def load_object(body: bytes, field: str) -> dict[str, Any]:
    """The body's JSON object, which should hold `field`. Raises MalformedRequest, InvalidRequest."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(
            f"the body is not JSON in UTF-8: {error.msg}, at character {error.pos}", code="invalid_json"
        ) from None
    if not isinstance(content, dict):
        raise InvalidRequest(
            f'the body is {kind_of(content)}; send an object with "{field}"', code="wrong_type"
        )
    return content


def to_inputs(request: EncodeRequest, settings: Settings, clock_s: float) -> list[Input]:
    """The domain inputs (n >= 1), none of them over a limit.

    `clock_s` is the unix time for a request that does not say what `now` is.

    Raises:
        InvalidRequest, InputError: naming the item, the limit and the way out.
    """
    return domain_inputs(request.inputs, settings, moment_of(request.now, clock_s))


def domain_inputs(value: Any, settings: Settings, now_s: float) -> list[Input]:
    """One input or a list of inputs, as JSON has them, to domain inputs. Raises as `to_inputs` does."""
    items = value if isinstance(value, list) else [value]
    _check_count(len(items), settings)
    return inputs_of(items, settings, now_s)


def inputs_of(items: Sequence[Any], settings: Settings, now_s: float) -> list[Input]:
    """JSON values to domain inputs of one kind, none of them too long.

    Raises:
        InvalidRequest, InputError: naming the item, the limit and the way out.
    """
    kind = type(items[0])
    if kind not in _INPUTS:
        raise InputError(
            0, "wrong_type", f"expected a text or an object of features, this is {kind_of(items[0])}"
        )
    for index, item in enumerate(items):
        if type(item) is not kind:
            raise InputError(
                index,
                "mixed_inputs",
                f"this is {kind_of(item)}, the first input {kind_of(items[0])}; send one kind per request",
            )
    _check_length(items, settings)
    to_input = _INPUTS[kind]
    return [to_input(item, now_s) for item in items]


def moment_of(now: Any, clock_s: float) -> float:
    """Unix time of a request's `now`, or the clock's. Raises InvalidRequest."""
    return clock_s if now is None else _unix_time(now)


_INPUTS: Mapping[type, Callable[[Any, float], Input]] = {
    str: lambda value, now_s: Text(value),
    dict: Features,
}

_KINDS: Mapping[type, str] = {
    str: "a text",
    dict: "an object",
    list: "a list",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def kind_of(value: Any) -> str:
    """What a JSON value is, for messages."""
    return _KINDS[type(value)]


def _check_count(count: int, settings: Settings) -> None:
    if count == 0:
        raise InvalidRequest(
            "the list is empty; send at least one input", code="empty_inputs", param="inputs"
        )
    if count > settings.max_items:
        raise InvalidRequest(
            f"{count} inputs, the limit is {settings.max_items} (ENCODERY_MAX_ITEMS); send several requests",
            code="too_many_inputs",
            param="inputs",
        )


def _check_length(items: Sequence[Any], settings: Settings) -> None:
    total = 0
    for index, item in enumerate(items):
        if isinstance(item, str):
            length, limit = len(item), settings.max_chars_per_item
            unit, name = "characters", "ENCODERY_MAX_CHARS_PER_ITEM"
        else:
            length, limit = _json_bytes(index, item), settings.max_bytes_per_object
            unit, name = "bytes", "ENCODERY_MAX_BYTES_PER_OBJECT"
        if length > limit:
            message = f"{length} {unit}, the limit is {limit} ({name}); shorten it"
            raise InputError(index, "too_large", message)
        total += length
    if total > settings.max_chars_per_request:
        raise InvalidRequest(
            f"the inputs have {total} characters together, the limit is {settings.max_chars_per_request} "
            "(ENCODERY_MAX_CHARS_PER_REQUEST); send several requests",
            code="too_large",
            param="inputs",
        )


def _json_bytes(index: int, item: Mapping[str, Any]) -> int:
    try:
        return len(orjson.dumps(item))
    except orjson.JSONEncodeError:
        raise InputError(index, "too_deep", "nested too deeply; features are values or short lists") from None


def _unix_time(value: Any) -> float:
    moment: float | None = None
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            parsed = None
        if parsed is not None:
            moment = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        moment = float(value)
    if moment is None or not _YEAR_1_S <= moment < _YEAR_10000_S:
        raise InvalidRequest(
            "expected an ISO 8601 time such as 2011-11-02T09:30:00Z, or seconds since 1970",
            code="invalid_time",
            param="now",
        )
    return moment


def _invalid(error: ValidationError, model: type[BaseModel]) -> InvalidRequest:
    """The first mistake, in our words where pydantic's do not help."""
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(name[:64], model.model_fields, n=1)
        hint = f'did you mean "{nearest[0]}"? ' if nearest else ""
        fields = ", ".join(model.model_fields)
        return InvalidRequest(f"an unknown field; {hint}the fields are: {fields}", code="unknown_field")
    if first["type"] == "missing":
        return InvalidRequest(f'"{name}" is missing', code="missing_field", param=name)
    return InvalidRequest(f"{name}: {first['msg']}", code="invalid_value", param=name)
