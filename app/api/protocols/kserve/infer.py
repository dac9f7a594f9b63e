"""Tensors in, vectors out, in JSON or in binary."""

from __future__ import annotations

import time
from typing import Any, Literal

import orjson
from fastapi import Request, Response
from pydantic import Field

from app.api.inputs import TensorInputs
from app.api.large import off_loop, to_json, writing
from app.api.protocols.base import expected_space
from app.api.protocols.foreign import parsed
from app.api.protocols.kserve.missing import load_body
from app.api.protocols.kserve.protocol import EMBEDDING, KSERVE
from app.api.protocols.tensors import SHARED, TensorSpec, WithNulls, read_tensors
from app.api.service import EncodeRequest, EncodeResult, encode
from app.api.vectors import JSON, RAW, to_raw
from app.engine import EngineError, Loaded
from app.http.body import essence, read_body
from app.http.context import Context
from app.http.errors import InvalidRequest, MalformedRequest
from bundle import Tensor

HEADER_LENGTH = "Inference-Header-Content-Length"
BINARY = "binary_data"
MOST_TENSORS = 1024  # of a request: two for each feature of a model
_REFUSED = {
    "classification": "a vector has no classes to be listed; leave it out",
    SHARED: "no memory is shared with this server; vectors come in the answer",
}


class _Output(WithNulls):
    name: str = Field(json_schema_extra={"enum": [EMBEDDING]})
    parameters: dict[str, Any] = Field(default={})


class _Parameters(WithNulls):
    ignored = ("priority", "timeout", "sequence_id", "sequence_start", "sequence_end")

    truncate: Literal["none", "end", "start"] = "none"
    dimensions: int | None = Field(default=None, ge=1)
    prompt: str | None = Field(default=None, description="name of one of the model's prompts")
    space: str | None = None
    now: float | None = Field(default=None, description="unix time that times are relative to")
    binary_data_output: bool = False


class InferRequest(WithNulls):
    """Tensors in."""

    id: str | None = None
    parameters: _Parameters = _Parameters()
    inputs: list[TensorSpec] = Field(
        max_length=MOST_TENSORS, fail_fast=True, json_schema_extra={"minItems": 1}
    )
    outputs: list[_Output] = Field([], max_length=MOST_TENSORS, fail_fast=True)

    @property
    def wants_binary(self) -> bool:
        """Tell whether the one output is wanted in binary; its own word wins, the last of several."""
        asked = [output.parameters.get(BINARY) for output in self.outputs]
        return next((one for one in reversed(asked) if one is not None), self.parameters.binary_data_output)


@KSERVE.post("/v2/models/{model}/infer", InferRequest, "Encode")
@KSERVE.post("/v2/models/{model}/versions/{version}/infer", InferRequest, "Encode with a version")
async def infer(context: Context, request: Request) -> Response:
    """Tensors in, vectors out, in JSON or in binary."""
    body = await read_body(context, request)
    are_files = _takes_files(context, request)
    asked, tensors = await off_loop(len(body), lambda: _read(body, request, are_files=are_files))
    parameters = asked.parameters
    wanted = EncodeRequest(
        inputs=TensorInputs(tensors, time.time() if parameters.now is None else parameters.now),
        model=request.path_params["model"],
        version=request.path_params.get("version"),
        space=parameters.space or expected_space(request),
        dim=parameters.dimensions,
        truncate=parameters.truncate,
        prompt=parameters.prompt,
    )
    answer = await encode(context, request, wanted)
    return await off_loop(writing(answer.vectors), lambda: _respond(asked, answer))


def _takes_files(context: Context, request: Request) -> bool:
    """Tell whether the model takes files; one that is not there is told of later, with the request read."""
    path = request.path_params
    try:
        loaded = context.registry.find(path["model"], version=path.get("version"))
    except EngineError:
        return False
    return bool(loaded.encoder.kind.media_types)


def _read(body: bytes, request: Request, *, are_files: bool) -> tuple[InferRequest, dict[str, Tensor]]:
    """The JSON, and the tensors in it or after it."""
    end = _json_length(body, request)
    asked = parsed(load_body(body[:end]), InferRequest)
    if not asked.inputs:
        raise InvalidRequest(
            "inputs: the list is empty; send the model's tensors, as GET /v2/models/MODEL lists them",
            code="empty_inputs",
            param="inputs",
        )
    for index, output in enumerate(asked.outputs):
        _check_output(output, f"outputs[{index}]")
    return asked, read_tensors(asked.inputs, memoryview(body)[end:], are_files=are_files)


def _json_length(body: bytes, request: Request) -> int:
    """Bytes of the JSON; what follows are tensors. Raises MalformedRequest."""
    length = request.headers.get(HEADER_LENGTH)
    if length is None:
        is_raw = essence(request.headers.get("content-type", JSON)) == RAW
        if is_raw and not body.rstrip().endswith(b"}"):
            raise _malformed("is missing, so that the tensors after the JSON would be taken for JSON")
        return len(body)
    if not (length.isdecimal() and len(length) < 12 and int(length) <= len(body)):
        raise _malformed("is the number of bytes of the JSON before the binary tensors")
    if int(length) == 0:
        raise _malformed("is 0; a request of bytes alone is not read, send JSON that names its tensor")
    return int(length)


def _malformed(fault: str) -> MalformedRequest:
    return MalformedRequest(f"{HEADER_LENGTH} {fault}", code="invalid_headers")


def _check_output(output: _Output, place: str) -> None:
    """Raise InvalidRequest for what is no output of any model, or cannot be had of it."""
    if output.name != EMBEDDING:
        raise _wrong(f"{place}.name", f"a model has one output, {EMBEDDING}")
    for name, reason in _REFUSED.items():
        if output.parameters.get(name):
            raise _wrong(f"{place}.parameters.{name}", reason)
    if not isinstance(output.parameters.get(BINARY), bool | None):
        raise _wrong(f"{place}.parameters.{BINARY}", "expected true or false")


def _wrong(place: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{place}: {what}", code="unsupported", param=place)


def _respond(asked: InferRequest, answer: EncodeResult) -> Response:
    vectors = answer.vectors
    output: dict[str, Any] = {"name": EMBEDDING, "datatype": "FP32", "shape": list(vectors.shape)}
    content: dict[str, Any] = {
        **_named(answer.loaded),
        "parameters": {"space": answer.space, "tokens": answer.tokens, "warnings": _noteworthy(answer)},
        "outputs": [output],
    }
    if asked.id is not None:
        content["id"] = asked.id
    if not asked.wants_binary:
        output["data"] = vectors.ravel()
        return Response(to_json(content, vectors.size), headers=answer.headers(), media_type=JSON)
    block = to_raw(vectors)
    output["parameters"] = {"binary_data_size": len(block)}
    head = orjson.dumps(content)
    headers = answer.headers() | {HEADER_LENGTH: str(len(head))}
    return Response(head + block, headers=headers, media_type=RAW)


def _named(loaded: Loaded) -> dict[str, str]:
    return {"model_name": loaded.manifest.name, "model_version": loaded.manifest.version}


def _noteworthy(answer: EncodeResult) -> int:
    return sum(bool(fact.warnings) for fact in answer.facts)
