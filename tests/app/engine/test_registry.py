"""Which versions are loaded, which one answers, and what a bad bundle does: nothing to the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from app.engine import (
    NotReady,
    Registry,
    SpaceMismatch,
    UnknownModel,
    UnknownVersion,
    load_registry,
)
from bundle import Store, Text, publish, switch_current


def load(models: Path, versions_per_model: int = 2) -> Registry:
    return load_registry(Store(models), versions_per_model=versions_per_model)


def spoil(models: Path, name: str, version: str = "1") -> None:
    """One flipped bit in the graph."""
    path = models / name / version / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_the_current_version_and_the_newest_others_are_loaded(models: Path) -> None:
    for seed in range(1, 5):
        publish(models, [tiny.text_draft(seed=seed)])
    switch_current(models, "text", "2")

    assert list(load(models, 3).model("text").versions) == ["2", "5", "4"]
    assert list(load(models, 1).model("text").versions) == ["2"]
    assert load(models).find("text").manifest.version == "2"
    assert load(models).find("text", version="5").manifest.version == "5"
    with pytest.raises(UnknownVersion, match="loaded: 2, 5"):
        load(models).find("text", version="1")


def test_a_bad_bundle_is_refused_and_the_others_serve(models: Path) -> None:
    spoil(models, "shop-user")

    registry = load(models)

    assert [(one.name, one.version) for one in registry.refused] == [("shop-user", "1")]
    assert "SHA-256" in registry.refused[0].reason
    assert registry.find("text").manifest.name == "text"
    assert not registry.model("shop-user").is_ready


def test_a_bad_current_version_is_not_replaced_in_silence(models: Path) -> None:
    """The other version's vectors are of another space; who wants them asks for them."""
    publish(models, [tiny.text_draft(seed=1)])
    spoil(models, "text", "2")

    registry = load(models)

    with pytest.raises(NotReady, match="versions that can be asked for: 1"):
        registry.find("text")
    assert registry.find("text", version="1").manifest.version == "1"
    space = registry.find("text", version="1").manifest.space
    assert registry.find("text", space=space).manifest.version == "1"


def test_a_broken_pointer_is_refused(models: Path) -> None:
    (models / "text" / "current").write_text("{}")

    model = load(models).model("text")

    assert [(one.version, model.is_ready) for one in model.refused] == [(None, False)]
    assert list(model.versions) == ["1"]


def test_a_loader_with_a_bug_does_not_stop_the_others(published: Path) -> None:
    class Buggy(Store):
        def read(self, name: str, version: str, digest: str | None = None) -> Any:
            if name == "text":
                raise ZeroDivisionError
            return super().read(name, version, digest)

    registry = load_registry(Buggy(published), versions_per_model=2)

    assert [(one.name, one.reason) for one in registry.refused] == [
        ("text", "cannot be loaded: ZeroDivisionError")
    ]
    assert registry.find("shop-user").manifest.name == "shop-user"


def test_a_client_pinned_to_a_space_gets_the_version_that_has_it(models: Path) -> None:
    """While an index is encoded anew, clients of the old one keep working; the default moves on."""
    publish(models, [tiny.text_draft(seed=1)])
    registry = load(models)
    old, new = (registry.find("text", version=version).manifest for version in ("1", "2"))

    assert old.space != new.space
    assert registry.find("text").manifest is new
    assert registry.find("text", space=old.space).manifest is old
    assert registry.find("text", space=f"{old.space}@4", dim=4).manifest is old
    for request in (
        {"space": old.space, "version": "2"},
        {"space": old.space, "dim": 4},
        {"space": f"{old.space}@4"},
        {"space": "sp_of_somebody_else"},
    ):
        cut = "@4" if "dim" in request else ""  # what is told is what the vectors would be of
        with pytest.raises(SpaceMismatch, match=f"2: {new.space}{cut}, 1: {old.space}{cut}"):
            registry.find("text", **request)


def test_towers_of_a_pair_answer_for_one_space(registry: Registry) -> None:
    space = registry.find("shop-user").manifest.space

    assert registry.find("shop-item", space=space).manifest.space == space


def test_an_unknown_model_is_told_what_there_is(registry: Registry) -> None:
    with pytest.raises(UnknownModel, match="did you mean 'text'"):
        registry.find("txt")


def test_examples_can_be_sent_as_they_are(registry: Registry) -> None:
    for loaded in registry.loaded:
        encoder = loaded.encoder
        assert loaded.examples
        encoder.prepare([encoder.preprocessor.from_json(one, tiny.NOW) for one in loaded.examples])


async def test_versions_side_by_side_over_http(serving: Any, models: Path) -> None:
    publish(models, [tiny.text_draft(seed=1)])
    registry = load(models)
    old = registry.find("text", version="1")
    async with serving(registry) as client:
        pinned = await client.post("/encode", json={"inputs": "hello", "space": old.manifest.space})
        exact = await client.post("/encode", json={"inputs": "hello", "version": "1"})
        default = await client.post("/encode", json={"inputs": "hello"})
        mismatch = await client.post("/encode", json={"inputs": "hello", "space": "sp_other"})

    assert pinned.json()["version"] == exact.json()["version"] == "1"
    np.testing.assert_allclose(pinned.json()["embeddings"], old.encoder.encode([Text("hello")]), atol=1e-5)
    assert default.json()["version"] == "2"
    assert (mismatch.status_code, mismatch.json()["error"]["code"]) == (412, "space_mismatch")
    assert old.manifest.space in mismatch.text
