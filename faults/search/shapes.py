"""Bodies of requests as small recipes: data that JSON can hold, from which megabytes are made.

    {"text": "ab", "chars": 9}            "ababababa"; with "numbered" each begins with a number of its own
    {"list": SHAPE, "times": 3}           [.., .., ..]
    {"object": SHAPE, "times": 3}         {"k0": .., "k1": .., "k2": ..}
    {"record": {"id": SHAPE}}             {"id": ..}
    {"deep": "[", "times": 3}             [[[]]]; of "{" objects in objects
    {"raw": "1e5"}                        the very bytes
    {"base64": 9}                         base64 of so many bytes
    anything else                         as JSON writes it

A body is one of these, or what another media type asks for: see `body`.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

Shape: TypeAlias = Any
Recipe: TypeAlias = dict[str, Any]
Numbers: TypeAlias = Iterator[int]
BOUNDARY = "b"


def body(recipe: Recipe) -> bytes:
    """The bytes of a recipe's body.

    {"json": SHAPE}                                     JSON
    {"lines": SHAPE, "times": 3}                        NDJSON
    {"parts": 3, "bytes": 9, "part": HEAD}              a form; HEAD are the headers of a part
    {"tensors": [..], "head": {..}}                     KServe's JSON and binary blocks
    {"bytes": 9}                                        zeros
    """
    if "json" in recipe:
        return encoded(recipe["json"])
    if "lines" in recipe:
        numbers = itertools.count()
        return b"".join(_shape(recipe["lines"], numbers) + b"\n" for _ in range(recipe["times"]))
    if "parts" in recipe:
        part = f"--{BOUNDARY}\r\n{recipe['part']}\r\n\r\n".encode() + bytes(recipe["bytes"]) + b"\r\n"
        return part * int(recipe["parts"]) + f"--{BOUNDARY}--\r\n".encode()
    if "tensors" in recipe:
        return b"".join(_tensors(recipe))
    return bytes(recipe["bytes"])


def headers(recipe: Recipe) -> dict[str, str]:
    """Those that say what the body is, and the recipe's own."""
    found = {"Content-Type": recipe.get("media", "application/json"), **recipe.get("headers", {})}
    if "tensors" in recipe:
        found["Inference-Header-Content-Length"] = str(len(_tensors(recipe)[0]))
    return found


def encoded(shape: Shape) -> bytes:
    """JSON of a shape."""
    return _shape(shape, itertools.count())


def size_of(recipe: Recipe) -> int:
    """About as many bytes as its body has, which may be too many to make."""
    if "json" in recipe:
        return _size(recipe["json"])
    if "lines" in recipe:
        return (_size(recipe["lines"]) + 1) * int(recipe["times"])
    if "parts" in recipe:
        return (len(recipe["part"]) + int(recipe["bytes"]) + 12) * int(recipe["parts"])
    if "tensors" in recipe:
        return sum((one.get("bytes", 0) + 120) * one.get("times", 1) for one in recipe["tensors"])
    return int(recipe["bytes"])


def _size(shape: Shape) -> int:
    if not isinstance(shape, Mapping):
        return len(json.dumps(shape))
    times = int(shape.get("times", 1))
    match shape:
        case {"text": alphabet, "chars": chars}:
            written = json.dumps(alphabet, ensure_ascii=bool(shape.get("escaped")))
            width = len(written.encode("utf-8", "surrogatepass")) - 2
            size = 10 + int(chars) * width // max(1, len(alphabet))
        case {"list": inner}:
            size = 2 + times * (_size(inner) + 1)
        case {"object": inner}:
            size = 2 + times * (_size(inner) + 10)
        case {"record": fields}:
            size = 2 + sum(len(key) + 4 + _size(one) for key, one in fields.items())
        case {"deep": bracket}:
            size = times * (2 if bracket == "[" else 6)
        case _:
            size = 4 * int(shape.get("base64", 0)) // 3 + len(str(shape.get("raw", "")))
    return size


def _tensors(recipe: Recipe) -> tuple[bytes, bytes]:
    """JSON with `times` copies of each tensor, their names numbered, and the blocks of those with `bytes`."""
    specs, blocks = [], []
    for tensor in recipe["tensors"]:
        for number in range(tensor.get("times", 1)):
            spec = {key: value for key, value in tensor.items() if key not in ("times", "bytes", "fill")}
            spec["name"] = f"{tensor['name']}{number or ''}"
            if "bytes" in tensor:
                spec["parameters"] = {"binary_data_size": tensor["bytes"]}
                fill = bytes.fromhex(tensor.get("fill", "00"))
                blocks.append((fill * (tensor["bytes"] // len(fill) + 1))[: tensor["bytes"]])
            specs.append(spec)
    numbers = itertools.count()
    inputs = b",".join(_shape({"record": spec}, numbers) for spec in specs)
    return _shape(
        {"record": {**recipe.get("head", {}), "inputs": {"raw": f"[{inputs.decode()}]"}}}, numbers
    ), (b"".join(blocks))


def _shape(shape: Shape, numbers: Numbers) -> bytes:
    if isinstance(shape, Mapping):
        for name, write in _WRITERS.items():
            if name in shape:
                return write(shape, numbers)
    return json.dumps(shape, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _list(shape: Shape, numbers: Numbers) -> bytes:
    inner, times = shape["list"], shape["times"]
    if "numbered" in json.dumps(inner):
        return b"[" + b",".join(_shape(inner, numbers) for _ in range(times)) + b"]"
    return b"[" + b",".join([_shape(inner, numbers)] * times) + b"]"


def _object(shape: Shape, numbers: Numbers) -> bytes:
    value = _shape(shape["object"], numbers)
    return b"{" + b",".join(b'"k%d":%b' % (at, value) for at in range(shape["times"])) + b"}"


def _record(shape: Shape, numbers: Numbers) -> bytes:
    fields = (json.dumps(key).encode() + b":" + _shape(one, numbers) for key, one in shape["record"].items())
    return b"{" + b",".join(fields) + b"}"


def _text(shape: Shape, numbers: Numbers) -> bytes:
    alphabet, chars = shape["text"], shape["chars"]
    start = f"{next(numbers)} " if shape.get("numbered") else ""
    text = (start + alphabet * (chars // max(1, len(alphabet)) + 1))[: max(chars, len(start))]
    written = json.dumps(text, ensure_ascii=bool(shape.get("escaped")))
    return written.encode("utf-8", "surrogatepass")


def _deep(shape: Shape, numbers: Numbers) -> bytes:
    times = int(shape["times"])
    return b"[" * times + b"]" * times if shape["deep"] == "[" else b'{"a":' * times + b"0" + b"}" * times


def _raw(shape: Shape, numbers: Numbers) -> bytes:
    return str(shape["raw"]).encode()


def _base64(shape: Shape, numbers: Numbers) -> bytes:
    return b'"' + base64.b64encode(bytes(shape["base64"])) + b'"'


_WRITERS: Mapping[str, Callable[[Shape, Numbers], bytes]] = {
    "text": _text,
    "list": _list,
    "object": _object,
    "record": _record,
    "deep": _deep,
    "raw": _raw,
    "base64": _base64,
}
