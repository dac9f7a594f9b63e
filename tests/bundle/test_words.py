"""Mistakes in files that people write are told in our words, with their place and without the value."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args

import pytest
import tiny
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import core_schema

from bundle import Manifest, ManifestError, publish
from bundle.manifest import Digest, Name
from bundle.words import WORDS, first_error

PYDANTIC = ("Input should", "Value error", "String should", "Field required", "Extra inputs")


class Form(BaseModel):
    """One field of each sort that our files have."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name = "a"
    sha256: Digest = "0" * 64
    count: Annotated[int, Field(ge=1, lt=9)] = 1
    rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    is_on: bool = True
    metric: Literal["cosine", "l2"] = "cosine"
    names: Annotated[list[str], Field(min_length=1)] = ["a"]
    prompts: dict[str, str] = {}
    even: int = 2

    @field_validator("even")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("expected an even number")
        return value


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "Secret!"}, "name: expected 1 to 64 of a-z"),
        ({"sha256": "secret"}, "sha256: expected a SHA-256"),
        ({"count": "secret"}, "count: expected a whole number"),
        ({"count": 0}, "count: expected at least 1"),
        ({"count": 9}, "count: expected less than 9"),
        ({"rate": "secret"}, "rate: expected a number"),
        ({"rate": float("nan")}, "rate: expected a finite number"),
        ({"rate": 0}, "rate: expected more than 0"),
        ({"rate": 2}, "rate: expected at most 1"),
        ({"is_on": "secret"}, "is_on: expected true or false"),
        ({"metric": "secret"}, "metric: expected 'cosine' or 'l2'"),
        ({"names": "secret"}, "names: expected a list"),
        ({"names": []}, "names: expected at least 1 of them"),
        ({"prompts": "secret"}, "prompts: expected an object"),
        ({"prompts": {"a": 1}}, "prompts.a: expected a text"),
        ({"even": 3}, "even: expected an even number"),
        ({"other": "secret"}, "other: is not known here"),
        ("secret", "expected an object"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_without_the_value(given: Any, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(given)

    found = first_error(caught.value)
    assert found.startswith(told)
    assert "secret" not in found.lower()
    assert not any(words in found for words in PYDANTIC)


def test_every_word_of_the_table_is_a_kind_that_pydantic_has() -> None:
    kinds = set(get_args(core_schema.ErrorType))

    assert set(WORDS) - kinds == {"path_type"}  # of pydantic itself


@pytest.mark.parametrize(
    "wrong", [{"dim": "384"}, {"name": "Text"}, {"extra": 1}, {"files": []}, {"metric": "l2"}]
)
def test_a_manifest_speaks_no_pydantic(tmp_path: Any, wrong: dict[str, Any]) -> None:
    [manifest] = publish(tmp_path, [tiny.text_draft()])
    content = json.loads(manifest.to_bytes()) | wrong

    with pytest.raises(ManifestError, match=next(iter(wrong))) as caught:
        Manifest.from_bytes(json.dumps(content).encode())
    assert not any(words in str(caught.value) for words in PYDANTIC)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_what_is_no_manifest_at_all_is_told(content: bytes) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json: (is no valid JSON|expected an object)"):
        Manifest.from_bytes(content)
