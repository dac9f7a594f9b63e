"""Row S3: requests made from the API's own document, right and wrong ones, find no crash and no untruth."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from running import server
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.e2e

SECRET = "ek_fuzz-0123456789abcdef"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    ignored_auth,
]  # not that what fits the document is taken: whether an input is one of a model is the model's to say
DOCUMENT = create_app(Settings(api_key=SECRET)).openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA.config.checks.negative_data_rejection.expected_statuses = ["4xx"]
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}
PLAUSIBLE: dict[str, Any] = {
    "model": "text",
    "version": "1",
    "inputs": ["hello world", "the cat"],
    "input": ["hello world"],
    "texts": ["hello world"],
    "prompt": "hello",
    "query": "a red lamp",
    "candidates": ["red", "the lamp"],
    "ids": [1, 2, 3],
    "dimensions": 8,
    "output_dimension": 8,
    "vectors": None,
}
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello world"]}
SEEN: Counter[str] = Counter()


@schemathesis.serializer("application/x-ndjson")
def as_it_is(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def url(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    keys = tmp_path_factory.mktemp("keys") / "keys.toml"
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    keys.write_text(f'[fuzz]\nsha256 = "{digest}"\nscopes = ["encode", "metrics", "admin"]\n')
    with server(published, ENCODERY_KEYS_FILE=str(keys)) as running:
        yield running.logged("ready")["url"]


@pytest.fixture(scope="module", autouse=True)
def _figures(figure: Any) -> Iterator[None]:
    yield
    figure("S3", "requests", SEEN.total())
    figure("S3", "answers of the 5xx family", SEEN["5"], at_most=0)
    assert SEEN["2"], SEEN


def plausible(case: Any) -> None:
    """Put what the server has into a request, so that it gets beyond the first check."""
    for name in case.path_parameters:
        case.path_parameters[name] = "1" if name == "version" else "text"
    if isinstance(case.body, dict):
        case.body |= {name: value for name, value in PLAUSIBLE.items() if name in case.body}
        if case.path.endswith("/infer"):
            case.body["inputs"] = [TENSOR]
        if case.path == "/similarity":
            case.body["inputs"] = {"source_sentence": "hello", "sentences": ["the cat"]}
    case.headers.pop("X-Expected-Space", None)


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_what_the_document_describes_is_answered_as_it_says(
    url: str, effort: Any, label: str, mode: GenerationMode
) -> None:
    operation = OPERATIONS[label]
    short = effort(True, False)

    @settings(
        max_examples=effort(6, 300),
        derandomize=short,  # CI sees the same every time
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), is_plausible=st.booleans())
    def ask(case: Any, is_plausible: bool) -> None:
        if mode is GenerationMode.POSITIVE:
            case.headers.pop("X-Request-Timeout-Ms", None)  # one of a millisecond is a 504, as asked
            if is_plausible:
                plausible(case)
        elif case.media_type == "application/x-ndjson":
            return  # any bytes are lines
        answer = case.call(base_url=url, headers={"Authorization": f"Bearer {SECRET}"}, timeout=30)
        SEEN[str(answer.status_code)[0]] += 1
        if answer.status_code >= 400:
            assert len(answer.content) <= 4096
        case.validate_response(answer, checks=CHECKS)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # nothing can be wrong about a request without parameters
