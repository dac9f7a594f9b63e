"""The client while versions change: aliases, several spaces, adapted vectors; against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from running import serving

from bundle import Manifest, Store, Text, publish
from encodery_client import (
    AliasChanged,
    AsyncClient,
    Client,
    RequestRefused,
    ServerUnreachable,
    SpaceChanged,
)

pytestmark = pytest.mark.e2e

SAME = 1e-5  # float32 through another batch shape
TEXTS = ["hello world", "the cat sat on the mat", "a red lamp", "dog"] * 2


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`text` 1 and 2, which is current, and an adapter between them."""
    models = tmp_path_factory.mktemp("models")
    old, new = (publish(models, [tiny.text_draft(seed=seed)])[0] for seed in (0, 1))
    publish(models, [tiny.adapter_draft("bridge", old, new)])
    return models


@pytest.fixture(scope="module")
def url(two: Path) -> Iterator[str]:
    with serving(two, ENCODERY_DEFAULT_MODEL="text") as base:
        yield base


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, url: str) -> Callable[..., Any]:
    """`call(method, *arguments, **options)` of a new client; `made` are its own options."""

    def called(method: str, *arguments: Any, made: dict[str, Any] | None = None, **options: Any) -> Any:
        if request.param == "sync":
            with Client(url, **(made or {})) as client:
                return getattr(client, method)(*arguments, **options)

        async def asked() -> Any:
            async with AsyncClient(url, **(made or {})) as client:
                return await getattr(client, method)(*arguments, **options)

        return asyncio.run(asked())

    return called


def manifests(models: Path) -> tuple[Manifest, Manifest, Manifest]:
    store = Store(models)
    return store.manifest("text", "1"), store.manifest("text", "2"), store.manifest("bridge", "1")


@pytest.mark.parametrize("batch_items", [3, 512])
def test_one_call_gives_an_answer_for_each_space(two: Path, call: Any, batch_items: int) -> None:
    old, new, _ = manifests(two)
    answers = call("answers", TEXTS, [new.space, old.space], made={"batch_items": batch_items})

    assert [(one.version, one.space) for one in answers] == [("2", new.space), ("1", old.space)]
    for answer in answers:
        expected = Store(two).load("text", answer.version).encode([Text(one) for one in TEXTS])
        np.testing.assert_allclose(answer.vectors, expected, atol=SAME)
    assert answers[0].tokens > 0
    assert [one.vectors.shape for one in call("answers", [], [new.space, old.space])] == [(0, 0), (0, 0)]


def test_a_space_that_is_not_there_gives_nothing_in_part(two: Path, call: Any) -> None:
    with pytest.raises(SpaceChanged):
        call("answers", TEXTS, [manifests(two)[0].space, "sp_" + "0" * 32])


def test_who_is_pinned_to_adapted_vectors_says_so_on_purpose(two: Path, call: Any) -> None:
    _, new, bridge = manifests(two)
    with pytest.raises(SpaceChanged, match="adapted"):
        call("answer", TEXTS, made={"space": bridge.space})
    answer = call("answer", TEXTS, made={"space": bridge.space, "batch_items": 3}, adapted=True)
    scores = call(
        "score", "a red lamp", np.eye(3, tiny.DIM, dtype=np.float32), space=bridge.space, adapted=True
    )

    assert answer.space == new.space
    expected = Store(two).load("text", "2").encode([Text(one) for one in TEXTS])
    np.testing.assert_allclose(answer.vectors, expected, atol=SAME)
    assert scores.space == bridge.space


def test_adapted_vectors_may_not_be_near_to_another_space_meanwhile(two: Path, url: str) -> None:
    _, new, bridge = manifests(two)
    with Client(url, space=bridge.space) as client:
        client.encode(TEXTS, adapted=True)
        client._core._near[client._core.parameters.pin] = "sp_before"
        with pytest.raises(SpaceChanged, match=new.space):
            client.encode(TEXTS, adapted=True)


def test_aliases_are_read_set_and_removed(two: Path, call: Any) -> None:
    there = call("set_alias", "text", "champion", "1")
    assert (there.shares, there) == ({"1": 100}, call("alias", "text", "champion"))
    with pytest.raises(RequestRefused, match="new space"):
        call("set_alias", "text", "champion", "2")
    moved = call("set_alias", "text", "champion", {"2": 100}, new_space=True, if_match=there.tag)
    with pytest.raises(AliasChanged):
        call("set_alias", "text", "champion", "1", new_space=True, if_match=there.tag)
    with pytest.raises(AliasChanged):
        call("remove_alias", "text", "champion", if_match=there.tag)
    assert moved.shares == {"2": 100}
    assert call("models")[1]["aliases"] == {"champion": {"2": 100}}
    call("remove_alias", "text", "champion", if_match=moved.tag)
    with pytest.raises(RequestRefused, match="no alias"):
        call("alias", "text", "champion")


def test_a_change_is_asked_for_once(url: str) -> None:
    """Nobody knows of an answer that was lost whether the change was made."""
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServerUnreachable):
        client.set_alias("text", "champion", "1")
    with Client(url) as client, pytest.raises(RequestRefused):
        client.alias("text", "../../secret")
