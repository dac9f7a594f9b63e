"""The protocol's routes and the shape of its errors, which every path under /v2 has."""

from __future__ import annotations

import re

from fastapi import Response

from app.api.protocols.base import ErrorText, Protocol
from app.http.errors import Failure, InvalidRequest
from bundle import InputError

EMBEDDING = "embedding"  # the one tensor of an answer

STATISTICS = "there are no statistics at this path; GET /metrics counts what is encoded, by model"
_MEMORY = "no memory is shared with this server; send tensors in the request, in binary"
_SETTINGS = "this is no setting of a running server; ENCODERY_LOG_LEVEL is the level of its log"
_NAME = re.compile(r"[.\[]")  # what ends the name of a feature in a path
_ABSENT = {  # of Triton's extensions; GET /v2 lists none of them
    "/v2/models/*/stats": STATISTICS,
    "/v2/systemsharedmemory/*": _MEMORY,
    "/v2/cudasharedmemory/*": _MEMORY,
    "/v2/trace/setting": _SETTINGS,
    "/v2/models/*/trace/setting": _SETTINGS,
    "/v2/logging": _SETTINGS,
}


def _error(failure: Failure) -> dict[str, str]:
    return {"error": failure.detail.message}


class _OfTensors(Protocol):
    """Its inputs are rows of tensors: `inputs[1].price` is told to be row 1 of the tensor price."""

    def answer(self, error: BaseException, field: str = "inputs") -> Response:
        if isinstance(error, InputError) and error.path.startswith("."):
            where = f"row {error.index} of the tensor {_NAME.split(error.path[1:], maxsplit=1)[0]}"
            error = InvalidRequest(f"{error} ({where})", code=error.code, param=error.param)
        return super().answer(error, field)


KSERVE = _OfTensors(
    "KServe V2",
    root="/v2",
    absent=_ABSENT,
    body=_error,
    error=ErrorText,
    statuses={422: 400},
    words={'send "truncate":"end"': 'send the parameter "truncate":"end"'},
)
