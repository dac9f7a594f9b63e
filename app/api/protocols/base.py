"""What the adapters share: routes, errors in the protocol's shape, texts within the limits, answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import (
    Any,
)

from fastapi import Request, Response
from pydantic import BaseModel

from app.api.head_options import admit
from app.api.inputs import TextInputs, TextOrIdInputs, described, is_media
from app.api.large import off_loop, to_json, writing
from app.api.protocols.documented import EXPECTED_SPACE, documented
from app.api.protocols.foreign import ForeignRequest, R, RefusedRequest, parsed
from app.api.requests import load_object
from app.api.service import EncodeRequest, EncodeResult, find
from app.api.vectors import JSON
from app.http import errors
from app.http.body import read_body, read_json_body
from app.http.context import Context
from app.http.errors import Failure, InvalidRequest
from app.http.routes import Access, Handler, RouteGroup

NO_MEDIA = "pictures and sounds are not read here, only texts; GET /models says what each model takes"
MODALITY = 'a picture or a sound goes to /embeddings, with "modality" and as a data URI or base64'


class ErrorText(BaseModel):
    """An error of a protocol that has nothing but a sentence."""

    error: str


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
        root: the path under which all answers, of paths that are not there too, are the protocol's own.
        absent: what is told at paths of the protocol that are not had, by patterns of the shell.
        body: a failure to the error body.
        error: how that looks, for the OpenAPI document.
        statuses: our status to the protocol's, where it has another one.
        words: our words for a place or a way out to the protocol's own.
        params: our name of what is wrong to what the protocol's callers send for it.
        any_type: a body is read whatever its Content-Type says.

    Attributes:
        routes: every route, for the docs and for the test that holds them to it.
        group: the same for `app.http.routes`.
    """

    def __init__(
        self,
        name: str,
        *,
        root: str | None = None,
        absent: Mapping[str, str] | None = None,
        body: Callable[[Failure], Any],
        error: type[BaseModel],
        statuses: Mapping[int, int] | None = None,
        words: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        any_type: bool = False,
    ) -> None:
        self.name, self._body, self._any_type = name, body, any_type
        self._documented: dict[str, Any] = {
            "tags": [name],
            "responses": {status: {"model": error} for status in ("4XX", "5XX")},
        }
        self._statuses, self._words = dict(statuses or {}), dict(words or {})
        self._params = {"space": EXPECTED_SPACE, "version": "model"} | dict(params or {})
        self.routes: list[ProtocolRoute] = []
        self.group = RouteGroup(error=self.answer, root=root, absent=absent)

    def post(
        self, path: str, request: type[ForeignRequest], summary: str, *, method: str = "POST"
    ) -> Callable[[Handler], Handler]:
        """Register a route that takes a body."""
        self.routes.append(ProtocolRoute(method, path, summary, request))
        return self.group.post(
            path,
            method=method,
            access=request.access,
            admission=admit if request.is_work else None,
            error=partial(self.answer, field=request.field),
            summary=summary,
            openapi_extra=documented(request, is_work=request.is_work, encodes=request.encodes),
            **self._documented,
        )

    def refuse(self, path: str, why: str, *, method: str = "POST") -> None:
        """Register a route that is refused with that reason: a plain 404 would send people to look for it."""

        async def refused(context: Context, request: Request) -> Response:
            """Never: the reason is in the answer."""
            raise InvalidRequest(why, code="unsupported")

        summary = "Refused: this server encodes texts and features"
        self.post(path, RefusedRequest, summary, method=method)(refused)

    def get(
        self, path: str, summary: str, *, access: Access = "any"
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a route without a body, a function as FastAPI calls it."""
        self.routes.append(ProtocolRoute("GET", path.replace(":path}", "}"), summary, None))
        return self.group.get(
            path, access=access, summary=summary, response_class=Response, **self._documented
        )

    def answer(self, error: BaseException, field: str = "inputs") -> Response:
        """The answer to any error, of a route whose inputs stand in that field."""
        found = errors.failure(error)
        detail = errors.shortened(found.detail)
        param, message = self._params.get(detail.param or "", detail.param), detail.message
        if param == "inputs":  # all of them together
            is_named = message.startswith('"inputs"')
            told = f'"{field}"{message[8:]}' if is_named else f"{field}: {message.removeprefix('inputs: ')}"
            param, message = field, told
        words = {"inputs[": f"{field}["} | self._words
        detail = detail.model_copy(
            update={"message": _reworded(message, words), "param": param and _reworded(param, words)}
        )
        body = self._body(Failure(found.status, detail, found.headers))
        return errors.respond(self.status(found), body, found.headers)

    def status(self, found: Failure) -> int:
        """The protocol's status."""
        return self._statuses.get(found.status, found.status)

    async def read(self, context: Context, request: Request, model: type[R]) -> R:
        """Parse the request. Raises RequestError."""
        return await self.read_as(context, request, lambda content: model, model.field)

    async def read_as(
        self,
        context: Context,
        request: Request,
        choose: Callable[[Mapping[str, Any]], type[R]],
        field: str = "inputs",
    ) -> R:
        """Parse a request whose shape says which one it is. Raises RequestError."""
        reader = read_body if self._any_type else read_json_body
        body = await reader(context, request)

        def read() -> R:
            content = load_object(body, field)
            return parsed(content, choose(content))

        return await off_loop(len(body), read)


def _reworded(text: str, words: Mapping[str, str]) -> str:
    for ours, theirs in words.items():
        text = text.replace(ours, theirs)
    return text


def texts(value: Any) -> TextInputs:
    """One text or a list of texts, which are still to be read. Raises InvalidRequest for anything else.

    A picture or a sound stands in an object, for models that take them.
    """
    _check_texts(value)
    return TextInputs(value if isinstance(value, list) else [value], time.time())


def texts_or_ids(value: Any) -> TextOrIdInputs:
    """The same of a text or a list of token ids, or of several of either."""
    _check_texts(value)
    is_one = not isinstance(value, list) or (bool(value) and type(value[0]) is int)
    return TextOrIdInputs([value] if is_one else value, time.time())


def _check_texts(value: Any) -> None:
    if not (isinstance(value, str | list) or is_media(value)):
        message = f"expected a text or a list of texts, this is {described(value)}"
        raise InvalidRequest(message, code="wrong_type", param="inputs")


def named(context: Context, model: str | None) -> tuple[str | None, str | None]:
    """Name and version of `text`, `text/2`, `text:2` or `text:latest`; an alias may have such signs, too."""
    models = context.models
    name, _, version = (model or "").replace(":", "/").partition("/")
    is_other = name not in models.models and models.aliases.get(model or "") is not None
    if model and (model in models.aliases or is_other or not name):  # `/x` is no version of the default model
        return model, None
    return name or None, version if version and version != "latest" else None


def refuse_less(context: Context, asked: EncodeRequest, most: Any, field: str) -> None:
    """Raise InvalidRequest for a limit in tokens under the model's own, which cuts no shorter."""
    if type(most) is int and most < (reads := find(context, asked).manifest.max_length):
        raise InvalidRequest(
            f"{field}: this model reads up to {reads} tokens of a text, and none is cut to fewer; "
            "leave it out, or send shorter texts",
            code="unsupported",
            param=field,
        )


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
