"""Row F11: whatever a body is, on every route that takes one: an answer, or a small 4xx without an echo."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from routes import REFUSED
from running import serving

from app.http.application import Application
from app.http.errors import InvalidRequest
from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.e2e

CANARY = "c4n4ry-7f3a"  # must not come back
DEEP = 20_000
TYPES = ("application/json", "application/json; charset=utf-8", "application/vnd.api+json")
OTHER_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/xml",
    "image/png",
    "nonsense",
    "",
)

BYTES: dict[str, bytes] = {  # FIELD is the name of the field that the route reads
    "nothing": b"",
    "blanks": b" \r\n\t",
    "no JSON": b"FIELD=" + CANARY.encode(),
    "markup": b"<FIELD>" + CANARY.encode() + b"</FIELD>",
    "cut short": b'{"FIELD": "hello"',
    "cut within a string": b'{"FIELD": "' + CANARY.encode(),
    "cut within an escape": b'{"FIELD": "\\u00',
    "cut within a character": b'{"FIELD": "\xe2\x82',
    "two values": b'{"FIELD": "a"} {"FIELD": "b"}',
    "bytes behind": b'{"FIELD": "a"}\x00' + CANARY.encode(),
    "a comma too many": b'{"FIELD": ["a",]}',
    "a comma too few": b'{"FIELD": ["a" "b"]}',
    "a comment": b'{"FIELD": "a" /* ' + CANARY.encode() + b" */}",
    "single quotes": b"{'FIELD': 'a'}",
    "no quotes": b"{FIELD: a}",
    "NaN": b'{"FIELD": NaN}',
    "NaN within": b'{"FIELD": ["a", NaN]}',
    "Infinity": b'{"FIELD": Infinity}',
    "negative infinity": b'{"FIELD": [-Infinity]}',
    "1e999": b'{"FIELD": 1e999}',
    "a tiny exponent": b'{"FIELD": 1e-999999}',
    "an integer of 5000 digits": b'{"FIELD": ' + b"9" * 5000 + b"}",
    "a negative one": b'{"FIELD": [-' + b"9" * 400 + b"]}",
    "a number with a plus": b'{"FIELD": +1}',
    "a leading zero": b'{"FIELD": 01}',
    "hexadecimal": b'{"FIELD": 0x10}',
    "a bare point": b'{"FIELD": .5}',
    "a bare word": b'{"FIELD": undefined}',
    "True": b'{"FIELD": True}',
    "a lone surrogate": b'{"FIELD": "\\ud800"}',
    "a lone low surrogate": b'{"FIELD": ["\\udc00 a"]}',
    "surrogates in the wrong order": b'{"FIELD": "\\udc00\\ud800"}',
    "a surrogate as a name": b'{"\\ud800": "a", "FIELD": "a"}',
    "a surrogate in UTF-8": b'{"FIELD": "\xed\xa0\x80"}',
    "bad UTF-8": b'{"FIELD": "\xff\xfe"}',
    "overlong UTF-8": b'{"FIELD": "\xc0\xaf"}',
    "beyond Unicode": b'{"FIELD": "\xf4\x90\x80\x80"}',
    "bad UTF-8 in a name": b'{"\xff": 1, "FIELD": "a"}',
    "Latin-1": '{"FIELD": "é"}'.encode("latin-1"),
    "UTF-16": '{"FIELD": "a"}'.encode("utf-16"),
    "UTF-32": '{"FIELD": "a"}'.encode("utf-32-be"),
    "a BOM": b'\xef\xbb\xbf{"FIELD": "a"}',
    "a raw NUL": b'{"FIELD": "a\x00b"}',
    "an escaped NUL": b'{"FIELD": "a\\u0000b"}',
    "a raw line break": b'{"FIELD": "a\nb"}',
    "a bad escape": b'{"FIELD": "\\x41"}',
    "control characters": b'{"FIELD": "\\u001b[31m\\r\\nX-Injected: 1"}',
    "a name twice": b'{"FIELD": 1, "FIELD": "hello"}',
    "a name twice, wrong last": b'{"FIELD": "hello", "FIELD": {"a": [1]}}',
    "an empty name": b'{"": "a"}',
    "__proto__": b'{"__proto__": {"FIELD": "a"}, "constructor": 1}',
    "deep lists": b'{"FIELD": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"FIELD": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "deep and unclosed": b"[" * DEEP,
    "deep and within the limit": b'{"FIELD": ' + b"[" * 500 + b"]" * 500 + b"}",
    "many names": b'{"FIELD": "a"' + b"".join(b', "k%d": 1' % n for n in range(5000)) + b"}",
    "a long name": b'{"FIELD": "a", "' + CANARY.encode() * 5000 + b'": 1}',
    "a long number": b'{"FIELD": 0.' + b"1" * 5000 + b"}",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
    "a list": b'["hello"]',
    "a text": b'"' + CANARY.encode() + b'"',
    "null": b"null",
    "a number": b"1",
    "true": b"true",
    "an empty object": b"{}",
}
VALUES: dict[str, Any] = {  # of the field that the route reads
    "null": None,
    "a number": 1,
    "a fraction": 0.5,
    "true": True,
    "an empty list": [],
    "an empty object": {},
    "an empty text": "",
    "blanks": " \t\r\n\u00a0\u2028",
    "numbers": [1, 2, 3],
    "token ids": [[101, 2023, 102]],
    "lists in lists": [["hello"]],
    "a null in a list": ["hello", None],
    "texts and objects": ["hello", {"a": CANARY}],
    "objects and texts": [{}, "hello"],
    "an object with a canary": {CANARY: CANARY},
    "a wrong one among many": ["hello"] * 300 + [{"a": CANARY}],
    "too many": ["hello"] * 5000,
    "too long": CANARY * 20_000,
    "only combining marks": "\u0301" * 5000,
    "a ligature that grows": "\ufdfa" * 500,
    "right to left and zero width": "\u202e\u200b\u200d\ufeff" * 100,
    "a data URI": "data:image/png;base64," + "A" * 100,
    "a URL": f"http://127.0.0.1/{CANARY}",
    "an absurd number": 10**300,
    "a path": "../../../../etc/passwd",
    "a template": "{{7*7}} ${jndi:ldap://x} %s %n {0.__class__}",
}
OPTIONS: dict[str, Any] = {  # wrong ones, beside good inputs
    "model": [
        CANARY,
        "",
        1,
        None,
        ["text"],
        {"a": 1},
        "../text",
        "text/../shop-user",
        "text\u0000",
        "x" * 5000,
    ],
    "version": [CANARY, 1, "", "../1", -1, ["1"]],
    "space": [CANARY, 1, "", "sp_" + "0" * 32, ["a"]],
    "dimensions": [0, -1, 7, 2**63, 10**30, 1.5, "8", True, [8], None],
    "output_dimension": [0, -1, 7, 10**30, "8"],
    "truncate": [CANARY, 1, None, ["end"], "END", True],
    "prompt": [CANARY, 1, {"a": 1}, "x" * 1000],
    "prompt_name": [CANARY, 1, [1]],
    "encoding": [CANARY, 1, None],
    "encoding_format": [CANARY, 1, ["float"]],
    "embedding_types": [CANARY, [CANARY], [], [1], ["float"] * 1000],
    "output": [CANARY, 1, "int9"],
    "now": [CANARY, True, 1e300, -1e300, "9999-99-99", [1]],
    "top_k": [0, -1, 10**30, "3", 1.5],
    "parameters": [CANARY, 1, [1], {"truncate": CANARY}, {"dimensions": -1}],
    "id": [1, ["a"], {"a": 1}],
    CANARY: [CANARY],
}


def of(field: str, **more: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {field: value, **more}


def tensors(value: Any) -> dict[str, Any]:
    data = value if isinstance(value, list) else [value]
    return {"inputs": [{"name": "text", "shape": [len(data)], "datatype": "BYTES", "data": data}]}


ROUTES: dict[str, Callable[[Any], dict[str, Any]]] = {  # what a body looks like, around the inputs
    "/encode": of("inputs"),
    "/score": lambda value: {"query": value, "candidates": value if isinstance(value, list) else [value]},
    "/explain": lambda value: {"query": value, "candidates": value if isinstance(value, list) else [value]},
    "/v1/models/text:explain": lambda value: {"instances": [{"query": value, "other": "hello"}]},
    "/adapt": of("vectors", space="sp_of_nobody"),
    "/": of("inputs"),
    "/embed": of("inputs"),
    "/similarity": lambda value: {"inputs": {"source_sentence": "hello", "sentences": value}},
    "/tokenize": of("inputs"),
    "/decode": of("ids"),
    "/embed_all": of("inputs"),
    "/embed_sparse": of("inputs"),
    "/rerank": of("texts", query="hello"),
    "/invocations": of("inputs"),
    "/vertex": lambda value: {"instances": [{"inputs": value}]},
    "/predict": of("inputs"),
    "/embeddings": of("input"),
    "/v1/embeddings": of("input"),
    "/api/embed": of("input", model="text"),
    "/api/embeddings": of("prompt", model="text"),
    "/api/show": of("model"),
    "/v1/embed": of("texts"),
    "/v2/embed": of("texts"),
    "/v2/repository/index": of("ready"),
    "/v2/repository/models/text/load": of("parameters"),
    "/v2/repository/models/text/unload": of("parameters"),
    "/v2/models/text/infer": tensors,
    "/v2/models/text/versions/1/infer": tensors,
}
SEEN: Counter[int] = Counter()


@pytest.fixture(scope="module")
def app() -> Application:
    return create_app(Settings())


@pytest.fixture(scope="module")
def client(published: Path) -> Iterator[httpx.Client]:
    with serving(published) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def _figures(figure: Any) -> Iterator[None]:
    yield
    figure("F11", "bodies, on all routes together", SEEN.total())
    figure(
        "F11", "answers of the 5xx family", sum(SEEN[status] for status in SEEN if status >= 500), at_most=0
    )


def test_every_route_that_takes_a_body_is_here(app: Application) -> None:
    served = {route.path for route in app.routes if "POST" in (getattr(route, "methods", None) or ())}

    assert {path.format(model="text", version="1") for path in served - REFUSED} == ROUTES.keys()
    assert len(BYTES) + len(VALUES) + len(OPTIONS) > 100


@pytest.mark.parametrize("path", ROUTES)
class TestEveryRoute:
    def test_bytes_of_any_sort(self, client: httpx.Client, app: Application, path: str) -> None:
        field = next(iter(ROUTES[path](None)))
        for name, body in BYTES.items():
            check(client, app, path, body.replace(b"FIELD", field.encode()), name=name)

    def test_values_of_any_sort(self, client: httpx.Client, app: Application, path: str) -> None:
        for name, value in VALUES.items():
            check(client, app, path, json.dumps(ROUTES[path](value)).encode(), name=name)

    def test_options_of_any_sort(self, client: httpx.Client, app: Application, path: str) -> None:
        for name, wrong in OPTIONS.items():
            for value in wrong:
                body = ROUTES[path](["hello world"]) | {name: value}
                check(client, app, path, json.dumps(body).encode(), name=f"{name}={value!r:.40}")

    def test_content_types_of_any_sort(self, client: httpx.Client, app: Application, path: str) -> None:
        body = json.dumps(ROUTES[path](["hello world"])).encode()
        for content_type in (*TYPES, *OTHER_TYPES, "multipart/form-data", 'multipart/form-data; boundary="'):
            check(client, app, path, body, name=content_type, content_type=content_type)


def check(
    client: httpx.Client, app: Application, path: str, body: bytes, *, name: str, content_type: str = TYPES[0]
) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": content_type})
    told = (path, name, answer.status_code, answer.content[:300])
    SEEN[answer.status_code] += 1
    assert answer.status_code < 500, told
    if answer.status_code < 400:
        return
    assert len(answer.content) <= 4096, told
    assert CANARY.encode() not in answer.content, told
    assert CANARY not in str(answer.headers), told
    if answer.status_code != 424:  # which has TEI's own words
        assert shape(answer.json()) == shape(json.loads(expected(app, path))), told


def expected(app: Application, path: str) -> bytes:
    """An error in the shape of the route's protocol."""
    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "root_path": ""}
    return bytes(app.table.find(scope).error(InvalidRequest("", code="", param="")).body)


def shape(value: Any) -> Any:
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else None
