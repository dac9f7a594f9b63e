"""What the API's document says of a route of a protocol: the schema of its body, and the headers it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from app.api.head_options import HEADER_PARAMETERS
from app.api.vectors import JSON

EXPECTED_SPACE = "X-Expected-Space"
_SPACE_PARAMETER: dict[str, Any] = {
    "name": EXPECTED_SPACE,
    "in": "header",
    "description": "the space that the vectors must be of; another one is a 412",
    "schema": {"type": "string"},
}


def documented(request: type[BaseModel], *, is_work: bool, encodes: bool) -> dict[str, Any]:
    """Additions to an operation of OpenAPI.

    Args:
        request: the body.
        is_work: it is admitted as what is encoded is.
        encodes: the answer has vectors.
    """
    schema = request.model_json_schema()
    inlined = _inlined(schema, schema.pop("$defs", {}))  # "#/$defs" would mean the whole document's
    body = {"requestBody": {"required": True, "content": {JSON: {"schema": inlined}}}}
    parameters = [*(HEADER_PARAMETERS if is_work else ()), *([_SPACE_PARAMETER] if encodes else ())]
    return body | ({"parameters": parameters} if parameters else {})


def _inlined(value: Any, definitions: Mapping[str, Any]) -> Any:
    """The JSON Schema without references."""
    if isinstance(value, dict):
        if "$ref" in value:
            return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(inner, definitions) for key, inner in value.items()}
    return [_inlined(inner, definitions) for inner in value] if isinstance(value, list) else value
