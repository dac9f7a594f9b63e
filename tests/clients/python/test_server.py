"""Our own client against the real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from running import serving

from bundle import OUTPUT_TYPES, Features, OutputType, Store, Text, publish
from encodery_client import AsyncClient, Client, Explanations, RequestRefused, SpaceChanged

pytestmark = pytest.mark.e2e

SAME = 1e-5  # float32 through another batch shape
TEXTS = ["hello world", "the cat sat on the mat", "a red lamp", "dog"] * 5


@pytest.fixture(scope="module")
def url(published: Path) -> Iterator[str]:
    with serving(published) as base:
        yield base


@pytest.mark.parametrize("wire", ["raw", "base64"])
def test_vectors_are_those_of_the_bundle(published: Path, url: str, wire: str) -> None:
    with Client(url, wire=wire, batch_items=3) as client:
        texts = client.encode(TEXTS)
        users = client.encode(tiny.USERS, model="shop-user", now=tiny.NOW)

    store = Store(published)
    np.testing.assert_allclose(texts, store.load("text").encode(list(map(Text, TEXTS))), atol=SAME)
    expected = store.load("shop-user").encode([Features(user, tiny.NOW) for user in tiny.USERS])
    np.testing.assert_allclose(users, expected, atol=SAME)


@pytest.mark.parametrize("wire", ["raw", "base64"])
@pytest.mark.parametrize("output", OUTPUT_TYPES)
def test_output_types_are_those_of_the_bundle(
    published: Path, url: str, wire: str, output: OutputType
) -> None:
    with Client(url, wire=wire, batch_items=3, output=output) as client:
        first = client.encode(TEXTS)
        again = client.answer(TEXTS)

    encoder = Store(published).load("text")
    expected = encoder.quantized(encoder.encode(list(map(Text, TEXTS))), output)
    assert first.dtype == expected.dtype
    assert again.space == encoder.manifest.space_of(tiny.DIM, output)
    for vectors in (first, again.vectors):
        np.testing.assert_allclose(vectors, expected, atol=1e-3 if "float" in output else 0)


def test_items_are_ranked_for_a_user_by_their_ids(url: str) -> None:
    """And by their vectors in place of their ids, with the same scores."""
    items = list(tiny.ITEMS)
    with Client(url, model="shop-user") as client:
        by_id = client.score(tiny.USERS[0], items, now=tiny.NOW, top_k=3)
        vectors = client.encode([{"id": one} for one in items], model="shop-item")
        by_vector = client.score(tiny.USERS[0], vectors, now=tiny.NOW, top_k=3, space=by_id.space)

    assert (by_id.model, by_id.candidates_model) == ("shop-user", "shop-item")
    assert [one.index for one in by_vector.results] == [one.index for one in by_id.results]
    scores = [[one.score for one in found.results] for found in (by_id, by_vector)]
    np.testing.assert_allclose(*scores, rtol=1e-4)


def test_scores_are_explained(url: str) -> None:
    """By both clients alike, and what the pieces add is the score less its base."""

    async def asked() -> Explanations:
        async with AsyncClient(url, model="shop-user") as client:
            return await client.explain(tiny.USERS[0], list(tiny.ITEMS)[:2], now=tiny.NOW)

    with Client(url, model="shop-user") as client:
        found = client.explain(tiny.USERS[0], list(tiny.ITEMS)[:2], now=tiny.NOW)
        scores = client.score(tiny.USERS[0], list(tiny.ITEMS)[:2], now=tiny.NOW)
        with pytest.raises(TypeError, match="top_k"):
            client.explain("a", ["b"], top_k=3)  # type: ignore[call-arg]  # what is tested
        with pytest.raises(RequestRefused):
            client.explain({}, ["A1"], pieces=1)

    assert asyncio.run(asked()) == found
    assert found.candidates_model == "shop-item"
    by_index = {one.index: one.score for one in scores.results}
    for one in found.results:
        assert one.score == pytest.approx(by_index[one.index], rel=1e-4)
        for side in (one.query, one.candidate):
            added = sum(piece["contribution"] for piece in side.contributions)
            assert added == pytest.approx(one.score - side.base, abs=1e-4)


def test_sparse_vectors_are_those_of_the_bundle(tmp_path: Path) -> None:
    publish(tmp_path, [replace(tiny.text_draft(), lexical=tiny.lexical())])
    with serving(tmp_path) as base, Client(base, batch_items=3, output="sparse") as client:
        found = client.encode(TEXTS, input_type="query")
        space = client.answer(TEXTS[:1]).space

    encoder = Store(tmp_path).load("text")
    assert space == encoder.sparse_space
    for row, expected in zip(found, encoder.encode_sparse(list(map(Text, TEXTS)), "query"), strict=True):
        np.testing.assert_array_equal(row.indices, expected.indices)
        np.testing.assert_array_equal(row.values, expected.values)


def test_the_asynchronous_client_gets_the_same(url: str) -> None:
    async def encode() -> np.ndarray:
        async with AsyncClient(url, batch_items=3) as client:
            return await client.encode(TEXTS)

    with Client(url) as client:
        np.testing.assert_allclose(asyncio.run(encode()), client.encode(TEXTS), atol=SAME)


def test_facts_are_counted_over_the_whole_call(url: str) -> None:
    with Client(url, batch_items=2) as client:
        answer = client.answer(["hello", "world", "hello unheard"])

    assert (answer.model, answer.version, answer.tokens) == ("text", "1", 4)
    assert [(warning.index, warning.unknown) for warning in answer.warnings] == [(2, ["text"])]


def test_the_servers_sentence_reaches_the_caller(url: str) -> None:
    with Client(url, batch_items=2) as client, pytest.raises(RequestRefused) as caught:
        client.encode(["hello", "world", "the " * 30])

    assert (caught.value.index, caught.value.code) == (2, "too_long")
    assert "inputs[2]: the text has 30 tokens, the limit is 16" in str(caught.value)


def test_a_space_that_is_not_loaded_is_never_replaced_by_another(url: str) -> None:
    with Client(url, space="sp_of_another_index") as client, pytest.raises(SpaceChanged, match="sp_"):
        client.encode(["hello"])


def test_fewer_dimensions_are_another_space(url: str) -> None:
    with Client(url) as client:
        client.encode(["hello"])
        assert client.encode(["hello"], dimensions=4).shape == (1, 4)

        assert len(set(client.pins.values())) == 2
