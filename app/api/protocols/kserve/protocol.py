"""The protocol's routes and the shape of its errors, which every path under /v2 has."""

from __future__ import annotations

from app.api.protocols.base import ErrorText, Protocol
from app.http.errors import Failure

EMBEDDING = "embedding"  # the one tensor of an answer

_MODELS = "models are not loaded by request; publish a version, and send the server SIGHUP"
_STATISTICS = "there are no statistics at this path; GET /metrics counts what is encoded, by model"
_MEMORY = "no memory is shared with this server; send tensors in the request, in binary"
_SETTINGS = "this is no setting of a running server; ENCODERY_LOG_LEVEL is the level of its log"
_ABSENT = {  # of Triton's extensions; GET /v2 lists none of them
    "/v2/repository/models/*/load": _MODELS,
    "/v2/repository/models/*/unload": _MODELS,
    "/v2/models/*/stats": _STATISTICS,
    "/v2/systemsharedmemory/*": _MEMORY,
    "/v2/cudasharedmemory/*": _MEMORY,
    "/v2/trace/setting": _SETTINGS,
    "/v2/models/*/trace/setting": _SETTINGS,
    "/v2/logging": _SETTINGS,
}


def _error(failure: Failure) -> dict[str, str]:
    return {"error": failure.detail.message}


KSERVE = Protocol(
    "KServe V2",
    root="/v2",
    absent=_ABSENT,
    body=_error,
    error=ErrorText,
    statuses={422: 400},
    words={'send "truncate":"end"': 'send the parameter "truncate":"end"'},
)
