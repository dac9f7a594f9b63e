"""The shape of TEI's errors: a sentence and a class, by which its clients choose what to raise.

Read in huggingface/text-embeddings-inference, router/src/lib.rs.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from app.api.protocols.base import Protocol
from app.http.errors import Failure

_TYPES = {422: "Validation", 424: "Backend", 429: "Overloaded", 503: "Unhealthy", 504: "Overloaded"}


def _error(failure: Failure) -> dict[str, str]:
    kind = "Empty" if failure.detail.code == "empty_inputs" else _TYPES.get(TEI.status(failure), "Validation")
    return {"error": failure.detail.message, "error_type": kind}


class _Error(BaseModel):
    error: str
    error_type: Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Empty"]


class _Tei(Protocol):
    def status(self, found: Failure) -> int:
        return 400 if found.detail.code == "empty_inputs" else super().status(found)


TEI = _Tei(
    "TEI", body=_error, error=_Error, statuses={500: 424}, words={'"truncate":"end"': '"truncate":true'}
)
