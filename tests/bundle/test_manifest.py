"""manifest.json and the space id."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bundle import Draft, Manifest, ManifestError, Store, Text, publish
from bundle.directory import MANIFEST, read_manifest
from bundle.manifest import Metric, space_id


@pytest.fixture(scope="module")
def manifest(published: Path) -> Manifest:
    return Store(published).manifest("text", "1")


def test_round_trip(manifest: Manifest) -> None:
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


@settings(max_examples=30)
@given(
    description=st.text(),
    metrics=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    seed=st.integers(-(1 << 63), (1 << 63) - 1),
)
def test_round_trip_of_any_text_and_number(
    published: Path, description: str, metrics: dict[str, float], seed: int
) -> None:
    manifest = Store(published).manifest("text", "1")
    trained = manifest.trained.model_copy(
        update={"seed": seed, "metrics": {name: Metric(value=value) for name, value in metrics.items()}}
    )
    changed = manifest.model_copy(update={"description": description, "trained": trained}).sealed()
    again = Manifest.from_bytes(changed.to_bytes())
    assert again == changed
    assert again.digest == again.expected_digest()


MALFORMED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown key": (lambda m: m | {"colour": "red"}, "colour"),
    "unknown key inside": (lambda m: m | {"parity": m["parity"] | {"colour": 1}}, "parity.colour"),
    "missing key": (lambda m: {k: v for k, v in m.items() if k != "dim"}, "dim"),
    "number as text": (lambda m: m | {"dim": "8"}, "dim"),
    "fraction": (lambda m: m | {"dim": 8.5}, "dim"),
    "boolean as number": (lambda m: m | {"dim": True}, "dim"),
    "zero": (lambda m: m | {"dim": 0}, "dim"),
    "other schema": (lambda m: m | {"schema_version": 2}, "schema_version"),
    "other metric": (lambda m: m | {"metric": "euclid"}, "metric"),
    "bad digest": (lambda m: m | {"space_members": ["x"]}, "space_members.0"),
    "bad name": (lambda m: m | {"name": "../text"}, "name"),
    "name ending in a line break": (lambda m: m | {"name": "text\n"}, "name"),
    "NaN": (lambda m: m | {"parity": m["parity"] | {"max_abs_diff": float("nan")}}, "parity.max_abs_diff"),
    "a list": (lambda m: [m], "object"),
}


@pytest.mark.parametrize(("change", "place"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_manifest_is_refused_with_the_place(
    manifest: Manifest, change: Callable[[dict[str, Any]], Any], place: str
) -> None:
    with pytest.raises(ManifestError, match=place) as caught:
        Manifest.from_bytes(json.dumps(change(json.loads(manifest.to_bytes()))).encode())
    assert str(caught.value).startswith("manifest.json: ")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"null", b"[" * 100_000, b"{", b'{"name": "\\ud800"}'])
def test_bytes_that_are_no_manifest_are_refused(content: bytes) -> None:
    with pytest.raises(ManifestError):
        Manifest.from_bytes(content)


INCONSISTENT: dict[str, tuple[dict[str, Any], str]] = {
    "unknown kind": (
        {"kind": "film"},
        r"kind 'film' is not one of \['audio', 'features', 'image', 'text', 'vector'\]",
    ),
    "other preprocessing": ({"preprocess_version": 2}, "train and export it again"),
    "files of another kind": ({"files": {}}, "files must be"),
    "space of others": ({"space": "sp_" + "0" * 32}, "space id"),
    "limits changed": ({"max_length": 17}, "space id"),
    "peer left out or made up": ({"peers": [{"name": "other", "version": "1"}]}, "members"),
    "dimensions without dim": ({"dimensions": [4]}, "dimensions"),
    "dimensions ascending": ({"dimensions": [4, 8]}, "dimensions"),
    "dimension twice": ({"dimensions": [8, 4, 4]}, "dimensions"),
    "dimension above dim": ({"dimensions": [8, 9]}, "dimensions"),
    "no dimensions": ({"dimensions": []}, "dimensions"),
}


@pytest.mark.parametrize(("change", "reason"), INCONSISTENT.values(), ids=INCONSISTENT)
def test_manifest_that_contradicts_itself_is_refused(
    manifest: Manifest, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    """Even with a digest made anew."""
    changed = Manifest.model_validate_json(json.dumps(manifest.model_dump(mode="json") | change)).sealed()
    (tmp_path / MANIFEST).write_bytes(changed.to_bytes())
    with pytest.raises(ManifestError, match=reason):
        read_manifest(tmp_path)


def test_manifest_changed_after_publishing_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    """Also where no other check looks: a metric made nicer."""
    content = manifest.to_bytes().replace(b'"value": 0.5', b'"value": 0.9')
    assert content != manifest.to_bytes()
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(ManifestError, match="changed after it was published"):
        read_manifest(tmp_path)


# The space id: what decides the numbers, and nothing else.


def spaces(models: Path, *drafts: Draft) -> set[str]:
    return {manifest.space for manifest in publish(models, drafts)}


SAME_SPACE: dict[str, dict[str, Any]] = {
    "card": {"card": "# another card\n"},
    "description": {"description": "another"},
    "dimensions": {"dimensions": [tiny.DIM]},
    "name": {"name": "other"},
}
OTHER_SPACE: dict[str, dict[str, Any]] = {
    "graph": {"seed": 1},
    "max_length": {"max_length": 8},
    "metric": {"metric": "inner_product"},
    "normalized": {"normalized": False},
    "preprocessor": {"preprocessor": tiny.tokenizer_json().replace(b'"hello"', b'"howdy"')},
}


@pytest.mark.parametrize("change", SAME_SPACE.values(), ids=SAME_SPACE)
def test_space_stays_when_the_numbers_stay(tmp_path: Path, change: dict[str, Any]) -> None:
    assert spaces(tmp_path, tiny.text_draft()) == spaces(tmp_path, tiny.text_draft(**change))


@pytest.mark.parametrize("change", OTHER_SPACE.values(), ids=OTHER_SPACE)
def test_space_changes_when_the_numbers_may_change(tmp_path: Path, change: dict[str, Any]) -> None:
    assert spaces(tmp_path, tiny.text_draft()).isdisjoint(spaces(tmp_path, tiny.text_draft(**change)))


def test_pair_shares_a_space_that_either_tower_changes(tmp_path: Path) -> None:
    (user, item), (other_user, other_item) = tiny.pair_drafts(seed=0), tiny.pair_drafts(seed=1)
    found = [spaces(tmp_path, *pair) for pair in ((user, item), (other_user, item), (user, other_item))]
    assert [len(each) for each in found] == [1, 1, 1]
    assert len(set.union(*found)) == 3


def test_tower_published_alone_is_of_another_space_than_the_pair(tmp_path: Path) -> None:
    user, item = tiny.pair_drafts()
    assert spaces(tmp_path, user, item).isdisjoint(spaces(tmp_path, user))


def test_space_id_does_not_depend_on_order() -> None:
    assert space_id(["a", "b"]) == space_id(["b", "a"]) != space_id(["a"])


def test_cut_vectors_are_of_a_space_of_their_own(manifest: Manifest) -> None:
    assert manifest.space_of(tiny.DIM) == manifest.space
    assert manifest.space_of(4) == f"{manifest.space}@4" != manifest.space_of(2)


def test_prompts_are_a_part_of_the_space(tmp_path: Path) -> None:
    """Another text before every input gives other vectors; none leaves a manifest as it always was."""
    (plain,) = publish(tmp_path / "plain", [tiny.text_draft()])
    (query,) = publish(tmp_path / "query", [tiny.text_draft(prompts={"query": "the "})])
    (other,) = publish(tmp_path / "other", [tiny.text_draft(prompts={"query": "a "})])

    assert len({plain.space, query.space, other.space}) == 3
    assert b"prompt" not in plain.to_bytes()
    assert Manifest.from_bytes(query.to_bytes()) == query


def test_a_default_prompt_is_one_of_the_prompts(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="default_prompt 'query' is none of the prompts"):
        publish(tmp_path, [tiny.text_draft(default_prompt="query")])


def test_an_encoder_by_itself_puts_its_default_prompt_before_every_text(tmp_path: Path) -> None:
    """As sentence-transformers does; so what is measured is what is served."""
    publish(tmp_path, [tiny.text_draft(prompts={"query": "the cat "}, default_prompt="query")])
    encoder = Store(tmp_path).load("text")

    found = encoder.encode([Text("hello")])

    assert (found == encoder.run(encoder.prepare([Text("the cat hello")]))).all()


@pytest.mark.parametrize("created", ["not a date", "", "2026-13-01", "yesterday", "1e9"])
def test_what_is_no_moment_is_refused(created: str) -> None:
    """Or the list of models, which tells it, would fail for all of them."""
    content = tiny.TRAINED.model_dump() | {"created": created}
    with pytest.raises(ValidationError, match="date and time"):
        type(tiny.TRAINED).model_validate(content)


@pytest.mark.parametrize(("field", "number"), [("dim", 1 << 31), ("max_length", 1 << 70), ("opset", 1 << 64)])
def test_numbers_that_no_json_can_tell_are_refused(published: Path, field: str, number: int) -> None:
    content = json.loads((published / "text" / "1" / "manifest.json").read_bytes()) | {field: number}
    with pytest.raises(ManifestError, match=field):
        Manifest.from_bytes(json.dumps(content).encode())
