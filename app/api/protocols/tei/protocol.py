"""The shape of TEI's errors: a sentence and a class, by which its clients choose what to raise.

Read in huggingface/text-embeddings-inference, router/src/lib.rs.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from app.api.protocols.base import Protocol
from app.http.errors import Failure

OTHER_KIND = "other_kind_of_model"  # code of what the default model cannot do, as it is of another kind

# Class and status by our code, and the class by the status for all other codes.
_BY_CODE = {
    "empty_inputs": ("Empty", 400),
    "empty_input": ("Empty", 400),
    OTHER_KIND: ("Backend", 424),
}
_CLASSES = {422: "Validation", 424: "Backend", 429: "Overloaded", 503: "Unhealthy", 504: "Overloaded"}


def _error(failure: Failure) -> dict[str, str]:
    by_status = _CLASSES.get(TEI.status(failure), "Validation"), 0
    return {
        "error": failure.detail.message,
        "error_type": _BY_CODE.get(failure.detail.code, by_status)[0],
    }


class _Error(BaseModel):
    error: str
    error_type: Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Empty"]


class _Tei(Protocol):
    def status(self, found: Failure) -> int:
        return _BY_CODE.get(found.detail.code, ("", super().status(found)))[1]


TEI = _Tei(
    "TEI", body=_error, error=_Error, statuses={500: 424}, words={'"truncate":"end"': '"truncate":true'}
)
