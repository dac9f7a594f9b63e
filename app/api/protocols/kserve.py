"""The Open Inference Protocol (KServe V2), as Triton speaks it over HTTP; what tritonclient[http] needs.

kserve/open-inference-protocol, specification/protocol/inference_rest.md, with the binary extension. A
model's tensors are those that GET /v2/models/{model} lists; what comes back is `embedding`, FP32 [n, dim].
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, Literal

import orjson
from fastapi import Request, Response
from pydantic import Field

from app.api import health
from app.api.inputs import TensorInputs
from app.api.large import off_loop, to_json, writing
from app.api.protocols.base import ErrorText, ForeignRequest, Protocol, expected_space, json_response, parsed
from app.api.protocols.tensors import SHARED, TensorSpec, read_tensors
from app.api.requests import load_object
from app.api.service import EncodeRequest, EncodeResult, encode
from app.api.vectors import JSON, RAW, to_raw
from app.engine import Loaded
from app.http.body import read_body
from app.http.context import Context, Ctx
from app.http.errors import Failure, InvalidRequest, MalformedRequest
from bundle import Tensor

HEADER_LENGTH = "Inference-Header-Content-Length"
EMBEDDING = "embedding"
MOST_TENSORS = 1024  # of a request: two for each feature of a model


def _error(failure: Failure) -> dict[str, str]:
    return {"error": failure.detail.message}


KSERVE = Protocol(
    "KServe V2",
    body=_error,
    error=ErrorText,
    statuses={422: 400, 503: 400},
    words={'send "truncate":"end"': 'send the parameter "truncate":"end"'},
)


class _Output(ForeignRequest):
    name: Literal["embedding"] = "embedding"
    parameters: dict[str, Any] = Field(default={})


class _Parameters(ForeignRequest):
    ignored = ("priority", "timeout", "sequence_id", "sequence_start", "sequence_end")

    truncate: Literal["none", "end", "start"] = "none"
    dimensions: int | None = Field(default=None, ge=1)
    prompt: str | None = Field(default=None, description="name of one of the model's prompts")
    space: str | None = None
    now: float | None = Field(default=None, description="unix time that times are relative to")
    binary_data_output: bool = False


class InferRequest(ForeignRequest):
    """Tensors in."""

    id: str | None = None
    parameters: _Parameters = _Parameters()
    inputs: list[TensorSpec] = Field(min_length=1, max_length=MOST_TENSORS, fail_fast=True)
    outputs: list[_Output] = Field([], max_length=1)

    @property
    def wants_binary(self) -> bool:
        """Tell whether the one output is wanted in binary; its own word wins."""
        asked = self.outputs[0].parameters.get("binary_data") if self.outputs else None
        return self.parameters.binary_data_output if asked is None else bool(asked)


class IndexRequest(ForeignRequest):
    """Which models to list."""

    encodes, is_work, access = False, False, "any"

    field = "ready"
    ready: bool = Field(False, description="only those that can answer")


@KSERVE.get("/v2/health/live", "Is the server alive", access="open")
async def live(context: Ctx) -> Response:
    """200 or 400; the status is the answer."""
    return _truth("live", not list(health.not_live(context)))


@KSERVE.get("/v2/health/ready", "Is the server ready", access="open")
async def ready(context: Ctx) -> Response:
    """200 or 400; the status is the answer."""
    return _truth("ready", not list(health.not_ready(context)))


@KSERVE.get("/v2", "The server")
async def server() -> Response:
    """Name, version and extensions."""
    version = health.running_version()
    return json_response({"name": "encodery", "version": version, "extensions": ["binary_tensor_data"]})


@KSERVE.get("/v2/models/{model}", "A model's tensors")
@KSERVE.get("/v2/models/{model}/versions/{version}", "A version's tensors")
async def metadata(context: Ctx, model: str, version: str | None = None) -> Response:
    """Names, datatypes and shapes; -1 is any length."""
    loaded = context.registry.find(model, version=version)
    return json_response(
        {
            "name": model,
            "versions": list(context.registry.model(model).versions),
            "platform": "onnx_onnxv1",
            "inputs": [asdict(one) for one in loaded.encoder.kind.tensors(loaded.encoder.schema())],
            "outputs": [{"name": EMBEDDING, "datatype": "FP32", "shape": [-1, loaded.manifest.dim]}],
        }
    )


@KSERVE.get("/v2/models/{model}/ready", "Is a model ready")
@KSERVE.get("/v2/models/{model}/versions/{version}/ready", "Is a version ready")
async def model_ready(context: Ctx, model: str, version: str | None = None) -> Response:
    """200 when the version is loaded; 400 or 404 when not."""
    context.registry.find(model, version=version)
    return json_response({"name": model, "ready": True})


@KSERVE.post("/v2/repository/index", IndexRequest, "Every version")
async def index(context: Context, request: Request) -> Response:
    """What is loaded, and what was refused and why."""
    body = await read_body(context, request)
    asked = await off_loop(len(body), lambda: parsed(load_object(body or b"{}", "ready"), IndexRequest))
    found = [
        {"name": loaded.manifest.name, "version": loaded.manifest.version, "state": "READY", "reason": ""}
        for loaded in context.registry.loaded
    ]
    if not asked.ready:
        found += [
            {"name": one.name, "version": one.version or "", "state": "UNAVAILABLE", "reason": one.reason}
            for one in context.registry.refused
        ]
    return json_response(found)


@KSERVE.post("/v2/models/{model}/infer", InferRequest, "Encode")
@KSERVE.post("/v2/models/{model}/versions/{version}/infer", InferRequest, "Encode with a version")
async def infer(context: Context, request: Request) -> Response:
    """Tensors in, vectors out, in JSON or in binary."""
    body = await read_body(context, request)
    asked, tensors = await off_loop(len(body), lambda: _read(body, request))
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


def _read(body: bytes, request: Request) -> tuple[InferRequest, dict[str, Tensor]]:
    """The JSON, and the tensors in it or after it."""
    length = request.headers.get(HEADER_LENGTH)
    if length is not None and not (length.isdecimal() and len(length) < 12 and int(length) <= len(body)):
        raise MalformedRequest(
            f"{HEADER_LENGTH} is the number of bytes of the JSON before the binary tensors",
            code="invalid_headers",
        )
    end = len(body) if length is None else int(length)
    asked = parsed(load_object(body[:end], "inputs"), InferRequest)
    for output in asked.outputs:
        if found := [name for name in (SHARED, "classification") if output.parameters.get(name)]:
            raise InvalidRequest(
                f"outputs: vectors come in the answer, without {found[0]}",
                code="unsupported",
                param="outputs",
            )
    return asked, read_tensors(asked.inputs, memoryview(body)[end:])


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


def _truth(name: str, value: bool) -> Response:
    return Response(b'{"%s":%s}' % (name.encode(), b"true" if value else b"false"), 200 if value else 400)
