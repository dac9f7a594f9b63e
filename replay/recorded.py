"""Recorded requests with the answers of another server, and the same requests sent to ours.

One JSON object a line: group, name, method, path, headers, body (text, a JSON value, {"base64": ...} or
{"hex": ...}) and answer: status, headers, body. Long vectors stand there as {"vector": length, "first":
numbers}, a long list as its first entries and {"and": how many more}; in a body, as one entry over and over
and "... 2048 in all". An answer in JSON and binary is {"json": ..., "binary_bytes": how many}.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx

CUT = re.compile(r"\.\.\. (\d+) in all")
_JSON_LENGTH = "Inference-Header-Content-Length"  # of an answer of the Open Inference Protocol
_SHORTENED = re.compile(r"\.\.\. \(\d+ bytes\)\Z")
_OURS_TO_SAY = frozenset({"host", "content-length", "connection", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        headers: by their names in lower case.
        body: parsed if it is JSON, else a text.
    """

    status: int
    headers: Mapping[str, Any]
    body: Any


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request, and the answer of another server."""

    group: str
    name: str
    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes | None
    answer: Answer

    @property
    def route(self) -> str:
        """Method and path, without the query."""
        return f"{self.method} {self.path.partition('?')[0]}"

    @property
    def text(self) -> str:
        """The body as far as it is a text."""
        return (self.content or b"").decode(errors="replace")


def read(path: Path) -> Iterator[Recorded]:
    """The lines of a file, but for requests of which only the start was kept. Raises ValueError."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            answer = found["answer"]
            if isinstance(found["body"], str) and _SHORTENED.search(found["body"]):
                continue
            yield Recorded(
                group=found["group"],
                name=found["name"],
                method=found["method"],
                path=found["path"],
                headers=found["headers"],
                content=_content(found["body"]),
                answer=Answer(answer["status"], answer.get("headers", {}), answer["body"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: not a recorded answer ({error!r})") from None


def _content(body: Any) -> bytes | None:
    if body is None or isinstance(body, str):
        return None if body is None else body.encode()
    if isinstance(body, dict) and body.keys() == {"base64"}:
        return base64.b64decode(body["base64"])
    if isinstance(body, dict) and body.keys() == {"hex"}:
        return bytes.fromhex(body["hex"])
    return json.dumps(_whole(body)).encode()


def _whole(value: Any) -> Any:
    """The value with the lists whole that were cut."""
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if not isinstance(value, list):
        return value
    if value and isinstance(value[-1], str) and (cut := CUT.fullmatch(value[-1])):
        return [value[0]] * int(cut[1])
    return [_whole(inner) for inner in value]


def send(client: httpx.Client, recorded: Recorded) -> Answer:
    """The answer of our server to the same request."""
    headers = {name: value for name, value in recorded.headers.items() if name.lower() not in _OURS_TO_SAY}
    headers.setdefault("Accept-Encoding", "identity")
    url = client.base_url.copy_with(raw_path=recorded.path.encode())  # `//embed` is a path, too
    request = client.build_request(recorded.method, url, headers=headers, content=recorded.content)
    response = client.send(request)
    length = response.headers.get(_JSON_LENGTH)
    return Answer(response.status_code, dict(response.headers), _parsed(response.content, length))


def _parsed(content: bytes, json_length: str | None) -> Any:
    if json_length is not None:
        end = int(json_length)
        return {"json": json.loads(content[:end]), "binary_bytes": len(content) - end}
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")
