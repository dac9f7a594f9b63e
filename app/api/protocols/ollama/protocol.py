"""Ollama's errors, a sentence each, and its names of models, which have parts that are always the same."""

from __future__ import annotations

from app.api.protocols.base import ErrorText, Protocol, named
from app.engine import Loaded
from app.http.context import Context
from app.http.errors import Failure, InvalidRequest

_REGISTRY, _NAMESPACE = "registry.ollama.ai/", "library/"  # of a name that says nothing else


def _error(failure: Failure) -> dict[str, str]:
    return {"error": failure.detail.message}


OLLAMA = Protocol(
    "Ollama",
    body=_error,
    error=ErrorText,
    statuses={422: 400},
    words={'"truncate":"end"': '"truncate":true'},
    any_type=True,  # its own examples send curl's default Content-Type
    root="/api",
)


def named_by(context: Context, model: str | None) -> tuple[str, str | None]:
    """Name and version of a model, whatever of its full name is there, in any case.

    Raises InvalidRequest where there is none: this protocol has no default model.
    """
    if not (model and model.strip()):
        message = "model is required; GET /api/tags lists those that there are"
        raise InvalidRequest(message, code="missing_field", param="model")
    if model not in context.models.aliases:
        model = model.lower().removeprefix(_REGISTRY).removeprefix(_NAMESPACE) or model
    name, version = named(context, model)
    return name or model, version


def find(context: Context, model: str | None) -> Loaded:
    """The model of that name. Raises EngineError, InvalidRequest."""
    name, version = named_by(context, model)
    return context.registry.find(name, version=version)
