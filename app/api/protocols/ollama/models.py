"""What clients ask about models: which there are, which are in memory, and what one is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from fastapi import Request, Response

from app.api.models import names_of
from app.api.protocols.base import json_response
from app.api.protocols.foreign import ForeignRequest
from app.api.protocols.ollama.protocol import OLLAMA, find
from app.engine import EngineError, Loaded, Registry
from app.http.context import Context, Ctx
from app.shared.versions import running_version

NEVER = "9999-12-31T23:59:59Z"  # until when a model is kept; the CLI shows it as far away
_UNITS = {1e9: "B", 1e6: "M", 1e3: "K"}


class ShowRequest(ForeignRequest):
    """Which model to tell of; older clients call it `name`."""

    encodes, is_work, access = False, False, "any"

    field = "model"
    ignored = ("verbose", "system", "template", "options")

    model: str | None = None
    name: str | None = None


@OLLAMA.get("/api/tags", "List models")
async def tags(context: Ctx) -> Response:
    """Every loaded version, the current one of a model as `latest`; and the models' other names."""
    return json_response({"models": [_tag(name, loaded) for name, loaded in _tagged(context.registry)]})


@OLLAMA.get("/api/ps", "List models in memory")
async def running(context: Ctx) -> Response:
    """The same models: all that are loaded are in memory, and stay there."""
    found = [
        _tag(name, loaded)
        | {"expires_at": NEVER, "size_vram": 0, "context_length": loaded.manifest.max_length}
        for name, loaded in _tagged(context.registry)
    ]
    return json_response({"models": found})


@OLLAMA.post("/api/show", ShowRequest, "One model")
async def show(context: Context, request: Request) -> Response:
    """Details of a model."""
    asked = await OLLAMA.read(context, request, ShowRequest)
    loaded = find(context, asked.model or asked.name)
    manifest, template = loaded.manifest, f"{loaded.manifest.prompt(None)}{{{{ .Prompt }}}}"
    return json_response(
        {
            "modelfile": f"FROM {manifest.name}:{manifest.version}\nTEMPLATE {template}\n",
            "template": template,
            "details": _details(loaded),
            "model_info": {
                "general.architecture": "encoder",
                "general.parameter_count": sum(loaded.encoder.weights.values()),
                "encoder.context_length": manifest.max_length,
                "encoder.embedding_length": manifest.dim,
                "encodery.space": manifest.space,
            },
            "capabilities": ["embedding"],
            "modified_at": manifest.trained.created,
        }
    )


@OLLAMA.get("/api/status", "Whether others are asked")
async def status() -> Response:
    """No cloud is: what Ollama's newer clients look at first."""
    return json_response({"cloud": {"disabled": True, "source": "env"}})


@OLLAMA.get("/api/version", "The server's version")
async def version() -> Response:
    """The version of Encodery, not of Ollama."""
    return json_response({"version": running_version()})


def _tagged(registry: Registry) -> Iterator[tuple[str, Loaded]]:
    for model in registry.models.values():
        for version, loaded in model.versions.items():
            yield f"{model.name}:{'latest' if version == model.current else version}", loaded
    for alias in names_of(registry):
        with suppress(EngineError):  # it cannot answer
            yield alias if ":" in alias else f"{alias}:latest", registry.find(alias)


def _tag(name: str, loaded: Loaded) -> dict[str, Any]:
    manifest = loaded.manifest
    return {
        "name": name,
        "model": name,
        "modified_at": manifest.trained.created,
        "size": sum(file.size for file in manifest.files.values()),
        "digest": manifest.digest,
        "details": _details(loaded),
    }


def _details(loaded: Loaded) -> dict[str, Any]:
    weights = loaded.encoder.weights
    return {
        "parent_model": "",
        "format": "onnx",
        "family": loaded.manifest.kind,
        "families": [loaded.manifest.kind],
        "parameter_size": counted(sum(weights.values())),
        "quantization_level": max(weights, key=lambda kind: weights[kind], default=""),
    }


def counted(number: int) -> str:
    """A number as Ollama writes it: `22.57M`."""
    for unit, sign in _UNITS.items():
        if number >= unit:
            return f"{number / unit:.2f}{sign}"
    return str(number)
