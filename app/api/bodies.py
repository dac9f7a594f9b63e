"""The bodies of POST /encode that are answered at once: JSON, bytes of one input, or a form with several.

    application/json            an object of options and inputs
    a media type of the kind    one input; options stand in the query
    multipart/form-data         inputs as files called `inputs`, options as fields or in the query

A body of NDJSON is read by `app.api.stream`. Which media types there are is the model's to say, so that it is
found, and a wrong type refused, before a body of bytes is read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, NamedTuple

from fastapi import Request
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app.api.inputs import GivenInputs, JsonInputs, MediaInputs, check_media_type, check_takes_media
from app.api.large import is_large
from app.api.requests import EncodeBody, from_options, json_inputs, moment_of, parse
from app.api.service import find
from app.http.body import essence, is_json, read_body
from app.http.context import Context
from app.http.errors import InvalidRequest, MalformedRequest
from app.settings import Settings
from bundle import KINDS

MULTIPART = "multipart/form-data"
FIELD = "inputs"  # what the files of a form are called
PIECE = 16 * 1024  # bytes of a form that are parsed in one go: 3 ms, where its files are tiny
MOST_FIELDS, LONGEST_FIELD = 16, 1024  # of a form: its options


class EncodeCall(NamedTuple):
    """A request as it was read: its options, and its inputs, still to be read by the model."""

    options: EncodeBody
    inputs: GivenInputs


async def read_call(context: Context, request: Request) -> EncodeCall:
    """Read the body, whatever its form.

    Raises:
        RequestError: it is over a limit, or not as it should be.
        EngineError: there is no such model.
        ClientDisconnect: the client left.
    """
    content_type = request.headers.get("content-type", "application/json")
    if is_json(content_type):
        body = await read_body(context, request)
        refuse_query(request)
        if is_large(len(body)):
            options = await asyncio.to_thread(parse, body, EncodeBody)
        else:
            options = parse(body, EncodeBody)
        return EncodeCall(options, json_inputs(options.inputs, moment_of(options.now, time.time())))
    media_type = essence(content_type)
    if media_type == MULTIPART:
        return await _form(context, request)
    options = from_options(request.query_params)
    check_media_type(media_type, find(context, options.request(JsonInputs((), 0.0))))
    content = await read_body(context, request, "max_media_body_bytes")
    return EncodeCall(options, MediaInputs([(media_type, content)]))


def refuse_query(request: Request) -> None:
    """Raise InvalidRequest for options in the query, where those in the body are read."""
    if request.scope["query_string"]:
        raise InvalidRequest(
            "options of a JSON body stand in the body, not in the query", code="unknown_field", param="query"
        )


async def _form(context: Context, request: Request) -> EncodeCall:
    if not any(one.encoder.kind.media_types for one in context.registry.loaded):
        check_takes_media(find(context, from_options({}).request(JsonInputs((), 0.0))))
    body = await read_body(context, request, "max_media_body_bytes")
    form = await _parsed(body, request.headers, context.settings)
    try:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        files = [(name, file) for name, file in form.multi_items() if isinstance(file, UploadFile)]
        parts = [(essence(file.content_type or ""), await file.read()) for _, file in files]
    finally:
        await form.close()
    options = from_options(
        {**request.query_params, **{name: value for name, value in fields.items() if name != FIELD}}
    )
    check_takes_media(find(context, options.request(JsonInputs((), 0.0))))
    if FIELD in fields or any(name != FIELD for name, _ in files):
        message = f'the inputs of a form are files called "{FIELD}", each with its Content-Type'
        raise InvalidRequest(message, code="invalid_multipart", param=FIELD)
    return EncodeCall(options, MediaInputs(parts))


async def _parsed(body: bytes, headers: Headers, settings: Settings) -> FormData:
    """The form; its files must be closed."""

    async def pieces() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), PIECE):
            yield body[start : start + PIECE]
            await asyncio.sleep(0)  # others' turn

    files, fields = settings.max_items, MOST_FIELDS
    parser = MultiPartParser(
        headers, pieces(), max_files=files, max_fields=fields, max_part_size=LONGEST_FIELD
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise MalformedRequest(
            f"the form cannot be read: {error.message}", code="invalid_multipart"
        ) from None


def documented() -> Mapping[str, Any]:
    """The bodies of bytes that the kinds of input take, for the API's document."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    types = {media_type: binary for kind in KINDS.values() for media_type in kind.media_types}
    several = {"type": "array", "items": binary["schema"]}
    form = {"schema": {"type": "object", "properties": {FIELD: several}}}
    return {**types, MULTIPART: form} if types else {}
