"""Routes, OpenAPI document and docs say the same of every protocol."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx
import pytest

from app.api.protocols import PROTOCOLS
from app.api.requests import EncodeBody

DOCS = Path(__file__).parents[3] / "docs"

ROWS = [
    pytest.param(protocol, row, id=f"{row.method} {row.path}")
    for protocol in PROTOCOLS
    for row in protocol.routes
]


async def test_every_route_of_a_protocol_is_in_the_table_and_the_other_way_round(
    client: httpx.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()
    names = {protocol.name for protocol in PROTOCOLS}
    served = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if set(operation.get("tags", [])) & names
    }

    assert served == {(row.method, row.path) for protocol in PROTOCOLS for row in protocol.routes}


@pytest.mark.parametrize(("protocol", "row"), ROWS)
async def test_the_document_names_the_fields_that_are_read(client: httpx.AsyncClient, protocol, row) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"][row.path][row.method.lower()]

    assert operation["tags"] == [protocol.name]
    assert operation["description"]
    assert {"4XX", "5XX"} <= operation["responses"].keys()
    if row.request is None:
        assert "requestBody" not in operation
    else:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert schema.get("properties", {}).keys() == row.request.model_fields.keys()
        assert "$ref" not in str(schema)
        assert not set(row.request.ignored) & row.request.model_fields.keys()


async def test_every_path_is_in_the_pages(client: httpx.AsyncClient) -> None:
    pages = "".join((DOCS / name).read_text() for name in ("api.md", "clients.md", "operations.md"))
    paths = (await client.get("/openapi.json")).json()["paths"]

    assert [path for path in paths if path not in pages] == []


async def test_every_field_of_encode_is_in_the_page_of_the_api() -> None:
    page = (DOCS / "api.md").read_text()

    assert [name for name in EncodeBody.model_fields if f"`{name}`" not in page] == []


async def test_routes_that_encode_document_the_headers_that_they_read(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]

    def headers(path: str) -> set[str]:
        parameters = paths[path]["post"].get("parameters", [])
        return {one["name"] for one in parameters if one["in"] == "header"}

    expected = {"X-Request-Timeout-Ms", "X-Priority", "X-Expected-Space"}
    assert headers("/v1/embeddings") == headers("/v2/models/{model}/infer") == expected
    assert headers("/tokenize") == headers("/decode") == {"X-Request-Timeout-Ms", "X-Priority"}
    assert headers("/api/show") == set()
