"""One table, one shape, nothing let out."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from app.access import RateLimited
from app.engine import Overloaded, Registry
from app.engine import errors as engine
from app.http import errors
from bundle import InputError


def leaves(kind: type) -> list[type]:
    return [leaf for child in kind.__subclasses__() for leaf in leaves(child) or [child]]


def test_every_error_that_a_request_can_meet_is_in_the_table() -> None:
    known = [*leaves(engine.EngineError), *leaves(errors.RequestError), InputError, RateLimited]

    assert set(known) == set(errors.TABLE)


def test_the_longest_message_fits_in_4_kib() -> None:
    """Four bytes a character, or a backslash before each."""
    for message in ("\U0001f600" * 10_000, '"' * 10_000, "\x01" * 600):
        response = errors.answer(InputError(0, "too_long", message, path=".x" * 10))

        assert len(response.body) <= 4096


@pytest.mark.parametrize(("retry_after_s", "header"), [(1.0, "1"), (2.1, "3"), (60.0, "60")])
def test_retry_after_is_in_whole_seconds(retry_after_s: float, header: str) -> None:
    response = errors.answer(Overloaded("busy", retry_after_s))

    assert (response.status_code, response.headers["retry-after"]) == (429, header)


async def test_a_bug_is_logged_with_its_place_and_told_as_an_id(serving: Any, only: Any, fake: Any) -> None:
    """Neither the answer nor the log has the exception's text, which may hold what the caller sent."""
    encoder = fake()

    def cut(*_: Any, **__: Any) -> None:
        raise KeyError("the caller's words")

    encoder.cut = cut
    async with serving(only(encoder)) as client:
        with structlog.testing.capture_logs() as logs:
            response = await client.post("/encode", json={"inputs": "hello"}, headers={"X-Request-ID": "r1"})

    assert (response.status_code, response.headers["x-request-id"]) == (500, "r1")
    assert response.json()["error"]["code"] == "internal"
    [entry] = [one for one in logs if one["event"] == "bug"]
    assert entry["error"] == "KeyError"
    assert any(" cut" in frame for frame in entry["at"])
    assert "words" not in response.text + str(logs)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/encode", 405, "method_not_allowed"),
        ("DELETE", "/models", 405, "method_not_allowed"),
        ("POST", "/encode/", 404, "not_found"),
        ("GET", "/redoc", 404, "not_found"),
        ("GET", "/docs/assets/../../main.py", 404, "not_found"),
        ("GET", "/docs/assets/%2e%2e/%2e%2e/main.py", 404, "not_found"),
        ("GET", "/models/none", 404, "unknown_model"),
        ("GET", "/models/none/schema", 404, "unknown_model"),
        ("GET", "/models/text/schema?version=9", 404, "unknown_version"),
        ("GET", "/model-version?model=none", 404, "unknown_model"),
    ],
)
async def test_the_frameworks_errors_have_the_same_shape(
    client: Any, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    errors.ErrorBody.model_validate_json(response.content)


async def test_a_405_names_the_method_that_is_taken(client: Any) -> None:
    assert (await client.get("/encode")).headers["allow"] == "POST"


async def test_not_found_names_what_is_loaded(client: Any, registry: Registry) -> None:
    model = await client.post("/encode", json={"inputs": "a", "model": "shop-usr"})
    version = await client.post("/encode", json={"inputs": "a", "version": "9"})

    assert "did you mean 'shop-user'? loaded: shop-item, shop-user, text" in model.text
    assert "loaded: 1" in version.text


async def test_an_unknown_field_is_told_the_nearest_one(client: Any) -> None:
    response = await client.post("/encode", json={"inputs": "a", "truncat": "end"})

    error = response.json()["error"]
    assert error["code"] == "unknown_field"
    assert 'did you mean "truncate"?' in error["message"]
