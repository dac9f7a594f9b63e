"""Inputs that are the bytes of a file, in the forms in which they come: base64, a data URI (RFC 2397), bytes.

    {"image": "..."} | "data:image/png;base64,..." | base64 | bytes  ->  bytes

What the bytes are is for their kind to say. Nothing is ever fetched: an address is refused. Kinds whose
inputs are files share this, so that all of them stand alike in JSON, in tables and in tensors.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bundle.errors import InputError
from bundle.preprocess.kind import Columns, Schema, Tensor, TensorType
from bundle.values import json_type

# Characters that are decoded in one go, 2 ms, since decoding keeps Python's lock; a multiple of 4.
PIECE = 256 * 1024
LONGEST_HEAD = 512  # characters of a data URI up to its comma
BASE64_BYTES = 2  # of JSON, at most, for each byte of a file; four thirds, and room for escapes
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{1,15}://|file:|www\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Media:
    """What the inputs of a kind are called.

    Attributes:
        field: of the object that may hold one, and the column and the tensor: `image`.
        noun: of one, for messages: `a picture`.
        plural: of several.
    """

    field: str
    noun: str
    plural: str

    def content_of(self, value: Any) -> bytes:
        """The bytes of an input as it stands in a request. Raises InputError."""
        if isinstance(value, bytes):  # of a file, or of a tensor in binary
            return value
        if isinstance(value, dict):
            if list(value) != [self.field]:
                raise self._wrong(f'this is an object; the only field of one is "{self.field}"')
            value = value[self.field]
        if not isinstance(value, str):
            raise self._wrong(f"this is {json_type(value)}")
        return self._decoded(value)

    def json_schema(self, media_types: Mapping[str, Any]) -> dict[str, Any]:
        """JSON Schema of one input."""
        text = {
            "type": "string",
            "contentEncoding": "base64",
            "description": f"{self.noun}: base64, or a data URI, of {', '.join(media_types)}; no address",
        }
        named = {
            "type": "object",
            "properties": {self.field: text},
            "required": [self.field],
            "additionalProperties": False,
        }
        return {"anyOf": [text, named]}

    def columns(self, schema: Schema, column: str | None) -> Columns:
        """The column of a table: bytes, a data URI, the path of a file, or an object with bytes or a path."""
        name = column or self.field

        def value(row: Any) -> Any:
            found = row.get(name) if isinstance(row, Mapping) else row
            if isinstance(found, Mapping):  # as Hugging Face's datasets have it
                found = found.get("bytes") or found.get("path")
            if not isinstance(found, str | bytes) or not found:
                raise ValueError(
                    f"there is no {self.noun.split()[-1]} in {name!r}; name the column by --column"
                )
            return found

        return Columns((name,), are_all_needed=True, value=value, are_files=True)

    def tensors(self, schema: Schema) -> tuple[TensorType, ...]:
        """The one tensor: bytes in binary, base64 in JSON."""
        return (TensorType(self.field, "BYTES", (-1,)),)

    def from_tensors(self, schema: Schema, tensors: Mapping[str, Tensor]) -> list[Any]:
        """Inputs as they stand in a request. Raises ValueError."""
        if list(tensors) != [self.field] or not tensors[self.field].is_flat:
            raise ValueError(f"this model takes one tensor, named {self.field}, BYTES [n]: base64, or binary")
        return [row[0] for row in tensors[self.field].rows]

    def _decoded(self, text: str) -> bytes:
        if _ADDRESS.match(text):
            raise InputError(
                0,
                "address",
                f"this is an address, and nothing is fetched from any; send {self.noun} itself, as base64 "
                "or a data URI",
            )
        if is_data_uri(text):
            head, _, text = text.partition(",")
            if not head.lower().rstrip().endswith(";base64"):
                raise self._wrong(
                    'this is a data URI that is not in base64; it must say ";base64" before its comma'
                )
        if not text:
            raise InputError(0, "empty_input", f"there are no bytes; send {self.noun}, or leave it out")
        try:
            return b"".join(
                base64.b64decode(text[start : start + PIECE], validate=True)
                for start in range(0, len(text), PIECE)
            )
        except (binascii.Error, ValueError):
            raise self._wrong("this is no base64 (RFC 4648, without line breaks)") from None

    def _wrong(self, what: str) -> InputError:
        send = f'send base64 or a data URI, as a string or as {{"{self.field}": "..."}}'
        return InputError(0, "wrong_kind", f"this model takes {self.plural}, and {what}; {send}")


def is_data_uri(text: str) -> bool:
    """Tell whether a text begins as a data URI."""
    return text[:5].lower() == "data:" and "," in text[:LONGEST_HEAD]
