"""What the server and its models are, and whether they are ready."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import Response

from app.api import health
from app.api.models import names_of
from app.api.protocols.base import json_response
from app.api.protocols.kserve.protocol import EMBEDDING, KSERVE, STATISTICS
from app.api.vectors import JSON
from app.http.context import Ctx
from app.http.errors import UnknownPath
from app.shared.versions import running_version

EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository")


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
    return json_response({"name": "encodery", "version": running_version(), "extensions": list(EXTENSIONS)})


@KSERVE.get("/v2/models", "Every model")
async def models(context: Ctx) -> Response:
    """Names and other names, as KServe lists them."""
    registry = context.registry
    return json_response({"models": [*registry.models, *names_of(registry)]})


@KSERVE.get("/v2/models/{model}", "A model's tensors")
@KSERVE.get("/v2/models/{model}/versions/{version}", "A version's tensors")
async def metadata(context: Ctx, model: str, version: str | None = None) -> Response:
    """Names, datatypes and shapes; -1 is any length."""
    if model == "stats" and context.registry.resolve(model)[0] not in context.registry.models:
        raise UnknownPath(STATISTICS)  # Triton's, of all models
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
    """200 when the version is loaded; 503 while it is not, 404 where there is none."""
    context.registry.find(model, version=version)
    return json_response({"name": model, "ready": True})


def _truth(name: str, value: bool) -> Response:
    return Response(
        b'{"%s":%s}' % (name.encode(), b"true" if value else b"false"),
        200 if value else 400,
        media_type=JSON,
    )
