"""Whatever a caller sends: a clear 4xx or an answer, never a 5xx, in at most 4 KiB, repeating nothing."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import hypothesis.strategies as st
import pytest
import strategies
from hypothesis import HealthCheck, given, settings

from app.api.encode import EncodeResponse
from app.http.errors import ErrorBody

JSON = {"Content-Type": "application/json"}
CANARY = "c4n4ry-7f3a"  # must not come back
LONG = 100_000

MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "blank": b" \n",
    "not JSON": b"inputs=hello",
    "cut short": b'{"inputs": "hello"',
    "cut string": b'{"inputs": "hel',
    "two values": b'{"inputs": "a"} {"inputs": "b"}',
    "trailing comma": b'{"inputs": ["a",]}',
    "comment": b'{"inputs": "a" /* */}',
    "single quotes": b"{'inputs': 'a'}",
    "NaN": b'{"inputs": NaN}',
    "NaN inside": b'{"model": "shop-item", "inputs": {"price": NaN}}',
    "Infinity": b'{"model": "shop-item", "inputs": {"price": -Infinity}}',
    "lone surrogate": b'{"inputs": "\\ud800"}',
    "lone low surrogate": b'{"inputs": ["\\udc00"]}',
    "surrogate of the wrong type": b'{"inputs": 1, "model": "\\ud800"}',
    "surrogate as a key": b'{"inputs": {"\\ud800": 1}}',
    "surrogate as an unknown field": b'{"inputs": "a", "\\ud800": 1}',
    "raw NUL": b'{"inputs": "\x00"}',
    "raw newline": b'{"inputs": "a\nb"}',
    "bad escape": b'{"inputs": "\\x41"}',
    "bad UTF-8": b'{"inputs": "\xff"}',
    "overlong UTF-8": b'{"inputs": "\xc0\xaf"}',
    "surrogate in UTF-8": b'{"inputs": "\xed\xa0\x80"}',
    "Latin-1": '{"inputs": "é"}'.encode("latin-1"),
    "UTF-16": '{"inputs": "a"}'.encode("utf-16"),
    "UTF-32": '{"inputs": "a"}'.encode("utf-32-le"),
    "BOM": b'\xef\xbb\xbf{"inputs": "a"}',
    "deep lists": b'{"inputs": ' + b"[" * LONG + b"]" * LONG + b"}",
    "deep objects": b'{"inputs": ' + b'{"a":' * LONG + b"1" + b"}" * LONG + b"}",
    "unclosed depth": b"[" * LONG,
    "plus sign": b'{"inputs": +1}',
    "leading zero": b'{"inputs": 01}',
    "hex": b'{"inputs": 0x10}',
    "bare word": b'{"inputs": undefined}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "pickle": b"\x80\x04\x95\x00\x00\x00\x00.",
}
NEVER_ENCODED: dict[str, Any] = {
    "a list": ["hello"],
    "a string": "hello",
    "null": None,
    "a number": 1,
    "no inputs": {},
    "null inputs": {"inputs": None},
    "number": {"inputs": 1},
    "boolean": {"inputs": True},
    "empty list": {"inputs": []},
    "empty text": {"inputs": ""},
    "blank text": {"inputs": " \t\n"},
    "empty text in a list": {"inputs": ["hello", ""]},
    "numbers": {"inputs": [1, 2, 3]},
    "token ids": {"inputs": [[101, 2023, 102]]},
    "nested lists": {"inputs": [["hello"]]},
    "null in a list": {"inputs": ["hello", None]},
    "text and object": {"inputs": ["hello", {}]},
    "object and text": {"inputs": [{}, "hello"]},
    "100k wrong items": {"inputs": [1] * LONG},
    "100k empty texts": {"inputs": [""] * LONG},
    "huge text": {"inputs": CANARY * 20_000},
    "huge key": {"model": "shop-user", "inputs": {CANARY * 10_000: 1}},
    "huge unknown field": {"inputs": "hello", CANARY * 10_000: 1},
    "deep features": {"model": "shop-user", "inputs": {"history": json.loads("[" * 900 + "]" * 900)}},
    "1e999": {"model": "shop-item", "inputs": {"price": "PLACEHOLDER"}},
    "text for features": {"model": "shop-user", "inputs": CANARY},
    "features for text": {"inputs": {"text": CANARY}},
    "unknown feature": {"model": "shop-user", "inputs": {CANARY: 1}},
    "wrong feature type": {"model": "shop-user", "inputs": {"country": 7.5}},
    "object as category": {"model": "shop-user", "inputs": {"country": {"a": CANARY}}},
    "text as history": {"model": "shop-user", "inputs": {"history": CANARY}},
    "wrong history entry": {"model": "shop-user", "inputs": {"history": [{"id": "A1", CANARY: 1}]}},
    "history without id": {"model": "shop-user", "inputs": {"history": [{"time": 1}]}},
    "wrong time": {"model": "shop-user", "inputs": {"history": [{"id": "A1", "time": CANARY}]}},
    "milliseconds": {"model": "shop-user", "inputs": {"history": [{"id": "A1", "time": 1.7e12}]}},
    "boolean price": {"model": "shop-item", "inputs": {"price": True}},
    "text as price": {"model": "shop-item", "inputs": {"price": "1.5"}},
    "bad now": {"inputs": "hello", "now": CANARY},
    "now of a wrong type": {"inputs": "hello", "now": [1]},
    "boolean now": {"inputs": "hello", "now": True},
    "now in milliseconds": {"inputs": "hello", "now": 1.7e12},
    "unknown model": {"inputs": "hello", "model": CANARY},
    "path as model": {"inputs": "hello", "model": "../../etc/passwd"},
    "empty model": {"inputs": "hello", "model": ""},
    "long model": {"inputs": "hello", "model": CANARY * 100},
    "number as model": {"inputs": "hello", "model": 1},
    "unknown version": {"inputs": "hello", "version": CANARY},
    "path as version": {"inputs": "hello", "version": "../1"},
    "other space": {"inputs": "hello", "space": CANARY},
    "unknown truncate": {"inputs": "hello", "truncate": CANARY},
    "boolean truncate": {"inputs": "hello", "truncate": True},
    "unknown encoding": {"inputs": "hello", "encoding": CANARY},
    "zero dimensions": {"inputs": "hello", "dimensions": 0},
    "negative dimensions": {"inputs": "hello", "dimensions": -1},
    "other dimensions": {"inputs": "hello", "dimensions": 7},
    "huge dimensions": {"inputs": "hello", "dimensions": 10**18},
    "fractional dimensions": {"inputs": "hello", "dimensions": 4.5},
    "text as dimensions": {"inputs": "hello", "dimensions": "4"},
    "too long a text": {"inputs": "the " * 17},
    "unknown field": {"inputs": "hello", CANARY: 1},
}


def check_error(response: httpx.Response) -> ErrorBody:
    """The shape that every error has."""
    assert 400 <= response.status_code < 500, response.content
    assert len(response.content) <= 4096
    assert CANARY.encode() not in response.content
    assert set(response.json()) == {"error"}
    assert response.headers["x-request-id"]
    error = ErrorBody.model_validate_json(response.content)
    assert error.error.code
    return error


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_body_is_a_400(client: httpx.AsyncClient, name: str) -> None:
    response = await client.post("/encode", content=MALFORMED[name], headers=JSON)

    assert (response.status_code, check_error(response).error.code) == (400, "invalid_json")


@pytest.mark.parametrize("name", NEVER_ENCODED)
async def test_a_wrong_request_is_told_so(client: httpx.AsyncClient, name: str) -> None:
    body = json.dumps(NEVER_ENCODED[name]).replace('"PLACEHOLDER"', "1e999")

    check_error(await client.post("/encode", content=body.encode(), headers=JSON))


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": "a", "inputs": "hello"}',  # the last one counts, as in every JSON library
        b'{"inputs": "\\u0000 hello"}',
        b'{"inputs": "\\ud83d\\ude00 hello"}',
        '{"inputs": "ﷺ ﷺ hello"}'.encode(),
        b'{"inputs": "hello", "model": null, "version": null, "space": null, "now": null}',
        b'{"model": "shop-item", "inputs": {"price": 1e308}}',
        b'{"model": "shop-item", "inputs": {"price": -5e-324}}',
        b'{"model": "shop-item", "inputs": {"price": ' + b"9" * 300 + b"}}",
        b'{"model": "shop-user", "inputs": {"history": [{"id": "A1", "time": -62135596800}, "B1"]}}',
    ],
)
async def test_odd_but_valid_bodies_are_encoded(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/encode", content=body, headers=JSON)

    assert response.status_code == 200, response.content
    EncodeResponse.model_validate_json(response.content)


ANY_REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "inputs": st.one_of(
            strategies.JSON,
            strategies.SENTENCES,
            st.lists(strategies.SENTENCES, max_size=4),
            strategies.feature_objects(["history", "country"]),
            st.lists(strategies.feature_objects(["id", "title", "price"]), max_size=3),
        ),
        "model": st.sampled_from(["text", "shop-user", "shop-item", "none"]) | strategies.JSON,
        "version": st.sampled_from(["1", "2"]) | strategies.JSON,
        "space": strategies.JSON,
        "truncate": st.sampled_from(["none", "end", "start"]) | strategies.JSON,
        "encoding": st.sampled_from(["float", "base64"]) | strategies.JSON,
        "dimensions": st.sampled_from([4, 8, 7]) | strategies.JSON,
        "now": strategies.TIMES | strategies.JSON,
        "unknown": strategies.JSON,
    },
)


async def check_anything(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/encode", content=body, headers=JSON)
    if response.status_code == 200:
        EncodeResponse.model_validate_json(response.content)
    else:
        check_error(response)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(body=ANY_REQUEST | strategies.JSON)
async def test_any_json_whatsoever_gets_an_answer(client: httpx.AsyncClient, body: Any) -> None:
    """Python's json writes NaN, Infinity, huge integers and lone surrogates as other clients do."""
    await check_anything(client, json.dumps(body, skipkeys=True).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(body=st.binary(max_size=200))
async def test_any_bytes_whatsoever_get_an_answer(client: httpx.AsyncClient, body: bytes) -> None:
    await check_anything(client, body)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(path=st.text(st.characters(codec="utf-8"), max_size=40), is_raw=st.booleans())
@pytest.mark.parametrize("prefix", ["/models/", "/model-version?model=", "/", "/docs/assets/"])
async def test_any_path_whatsoever_gets_an_answer(
    client: httpx.AsyncClient, prefix: str, path: str, is_raw: bool
) -> None:
    """Slashes and dots as they are, or percent-encoded with the rest."""
    response = await client.get(prefix + quote(path, safe="/.?&=" if is_raw else ""))

    assert response.status_code < 500
