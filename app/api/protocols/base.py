"""What the adapters share: lenient parsing, texts within the limits, errors in the protocol's shape.

A field that a protocol has and we do not know is ignored, as its own servers do; `/encode` is strict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, ValidationError, WithJsonSchema

from app.api.head_options import HEADER_PARAMETERS, admit
from app.api.inputs import TextInputs
from app.api.large import off_loop, to_json, writing
from app.api.requests import load_object
from app.api.service import EncodeResult
from app.api.vectors import JSON
from app.http import errors
from app.http.body import read_body, read_json_body
from app.http.context import Context
from app.http.errors import Failure, InvalidRequest
from app.http.routes import Access, Handler, RouteGroup

EXPECTED_SPACE = "X-Expected-Space"
_PARAMETERS: list[dict[str, Any]] = [
    *HEADER_PARAMETERS,
    {
        "name": EXPECTED_SPACE,
        "in": "header",
        "description": "the space that the vectors must be of; another one is a 412",
        "schema": {"type": "string"},
    },
]


class ForeignRequest(BaseModel):
    """A request of somebody else's protocol.

    Attributes:
        field: what holds the inputs, for messages.
        ignored: fields of the protocol that are taken and change nothing here.
        encodes: the answer has vectors, so the headers that every such route reads are documented.
        access: the scope that a key needs; `any` for what only tells of models.
    """

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
    field: ClassVar[str] = "inputs"
    ignored: ClassVar[tuple[str, ...]] = ()
    encodes: ClassVar[bool] = True
    access: ClassVar[Access] = "encode"

    @classmethod
    def fields(cls) -> Iterator[str]:
        """Names of what is read; of a field that is an object itself, those within."""
        for name, field in cls.model_fields.items():
            kinds = (field.annotation, *get_args(field.annotation))
            inner = next(
                (one for one in kinds if isinstance(one, type) and issubclass(one, ForeignRequest)), None
            )
            is_list = get_origin(field.annotation) is list
            yield from [name] if inner is None or is_list else (f"{name}.{each}" for each in inner.fields())


class ErrorText(BaseModel):
    """An error of a protocol that has nothing but a sentence."""

    error: str


R = TypeVar("R", bound=ForeignRequest)

_TEXT = {"type": "string", "minLength": 1}
Texts = Annotated[
    Any, WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]})
]  # a text or a list of them, read by `texts`: in the API's document, what is taken


@dataclass(frozen=True)
class ProtocolRoute:
    """One route, for the docs.

    Attributes:
        request: what it reads; None for a route without a body.
    """

    method: str
    path: str
    summary: str
    request: type[ForeignRequest] | None


class Protocol:
    """One protocol: its routes and the shape of its errors.

    Args:
        name: as people call it.
        body: a failure to the error body.
        error: how that looks, for the OpenAPI document.
        statuses: our status to the protocol's, where it has another one.
        words: our words for a place or a way out to the protocol's own.
        any_type: a body is read whatever its Content-Type says.

    Attributes:
        routes: every route, for the docs and for the test that holds them to it.
        group: the same for `app.http.routes`.
    """

    def __init__(
        self,
        name: str,
        *,
        body: Callable[[Failure], Any],
        error: type[BaseModel],
        statuses: Mapping[int, int] | None = None,
        words: Mapping[str, str] | None = None,
        any_type: bool = False,
    ) -> None:
        self.name, self._body, self._any_type = name, body, any_type
        self._documented: dict[str, Any] = {
            "tags": [name],
            "responses": {status: {"model": error} for status in ("4XX", "5XX")},
        }
        self._statuses, self._words = dict(statuses or {}), dict(words or {})
        self.routes: list[ProtocolRoute] = []
        self.group = RouteGroup(error=self.answer)

    def post(self, path: str, request: type[ForeignRequest], summary: str) -> Callable[[Handler], Handler]:
        """Register a route that takes a body."""
        self.routes.append(ProtocolRoute("POST", path, summary, request))
        return self.group.post(
            path,
            access=request.access,
            admission=admit if request.encodes else None,
            summary=summary,
            openapi_extra=_documented(request),
            **self._documented,
        )

    def get(
        self, path: str, summary: str, *, access: Access = "any"
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a route without a body, a function as FastAPI calls it."""
        self.routes.append(ProtocolRoute("GET", path.replace(":path}", "}"), summary, None))
        return self.group.get(
            path, access=access, summary=summary, response_class=Response, **self._documented
        )

    def answer(self, error: BaseException) -> Response:
        """The answer to any error."""
        found = errors.failure(error)
        detail = errors.shortened(found.detail)
        detail = detail.model_copy(
            update={"message": self._reworded(detail.message), "param": self._reworded(detail.param)}
        )
        body = self._body(Failure(found.status, detail, found.headers))
        return errors.respond(self.status(found), body, found.headers)

    def status(self, found: Failure) -> int:
        """The protocol's status."""
        return self._statuses.get(found.status, found.status)

    async def read(self, context: Context, request: Request, model: type[R]) -> R:
        """Parse the request. Raises RequestError."""
        reader = read_body if self._any_type else read_json_body
        body = await reader(request, context.settings)
        return await off_loop(len(body), lambda: parsed(load_object(body, model.field), model))

    def _reworded(self, text: str | None) -> str | None:
        for ours, theirs in self._words.items() if text else ():
            text = text.replace(ours, theirs) if text else text
        return text


def parsed(content: Mapping[str, Any], model: type[R]) -> R:
    """The request. Raises InvalidRequest, which names the first field that is wrong."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise InvalidRequest(f'"{name}" is missing', code="missing_field", param=name) from None
        raise InvalidRequest(f"{name}: {first['msg']}", code="invalid_value", param=name) from None


def texts(value: Any) -> TextInputs:
    """One text or a list of texts, which are still to be read."""
    return TextInputs(value if isinstance(value, list) else [value], time.time())


def named(context: Context, model: str | None) -> tuple[str | None, str | None]:
    """Name and version of `text`, `text/2`, `text:2` or `text:latest`; an alias may have such signs, too."""
    if model in context.models.aliases:
        return model, None
    name, _, version = (model or "").replace(":", "/").partition("/")
    return name or None, version if version and version != "latest" else None


def expected_space(request: Request) -> str | None:
    """What the vectors must be of: a header, since no other protocol has a field for it."""
    return request.headers.get(EXPECTED_SPACE)


def json_response(content: Any, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON; numpy arrays become lists of numbers."""
    return Response(to_json(content), headers=dict(headers or {}), media_type=JSON)


async def json_vectors(
    answer: EncodeResult, content: Callable[[], Any], headers: Mapping[str, str] | None = None
) -> Response:
    """An answer in JSON that has the vectors in it, put together off the event loop if they are many."""
    body = await off_loop(writing(answer.vectors), lambda: to_json(content(), answer.vectors.size))
    return Response(body, headers=dict(headers or answer.headers()), media_type=JSON)


def _documented(request: type[ForeignRequest]) -> dict[str, Any]:
    schema = request.model_json_schema()
    inlined = _inlined(schema, schema.pop("$defs", {}))  # "#/$defs" would mean the whole document's
    body = {"requestBody": {"required": True, "content": {JSON: {"schema": inlined}}}}
    return body | ({"parameters": _PARAMETERS} if request.encodes else {})


def _inlined(value: Any, definitions: Mapping[str, Any]) -> Any:
    """The JSON Schema without references."""
    if isinstance(value, dict):
        if "$ref" in value:
            return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(inner, definitions) for key, inner in value.items()}
    return [_inlined(inner, definitions) for inner in value] if isinstance(value, list) else value
