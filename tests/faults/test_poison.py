"""Row F8: in whatever company it comes, an input that breaks the encoder fails alone; real connections."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import poisonous
import pytest
import tiny
from sockets import listening

from app.engine import Loaded, Model, Registry
from app.main import create_app
from app.settings import Settings
from bundle import Encoder, Prepared, Store, Text

MARKER = poisonous.MARKER
MARKED = tiny.WORDS.index(MARKER)
WORDS = [word for word in tiny.WORDS[1:] if word != MARKER]
CALLERS = 12
SAME = 1e-5  # float32 in a batch of another shape


class PanicException(BaseException):
    """Like pyo3's: no Exception."""


def is_marked(one: Prepared) -> bool:
    return any(MARKED in np.ravel(array) for array in one.arrays.values())


def raises(encoder: Encoder, batch: Sequence[Prepared]) -> np.ndarray:
    if any(map(is_marked, batch)):
        raise RuntimeError("a node of the graph failed")
    return encoder.run(batch)


def panics(encoder: Encoder, batch: Sequence[Prepared]) -> np.ndarray:
    if any(map(is_marked, batch)):
        raise PanicException("a native panic")
    return encoder.run(batch)


def gives_nan(encoder: Encoder, batch: Sequence[Prepared]) -> np.ndarray:
    vectors = encoder.run(batch).copy()
    vectors[[is_marked(one) for one in batch]] = np.nan
    return vectors


def gives_infinity(encoder: Encoder, batch: Sequence[Prepared]) -> np.ndarray:
    vectors = encoder.run(batch).copy()
    vectors[[is_marked(one) for one in batch], -1] = np.inf
    return vectors


class Poisoned:
    """A real encoder, but for its forward pass."""

    def __init__(self, encoder: Encoder, run: Callable[[Encoder, Sequence[Prepared]], np.ndarray]) -> None:
        self._encoder, self._run = encoder, run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def run(self, batch: Sequence[Prepared]) -> np.ndarray:
        return self._run(self._encoder, batch)

    run_multithreaded = run


@asynccontextmanager
async def serving(encoder: Any) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients, each with connections of its own, of a real server of this encoder."""
    manifest = encoder.manifest
    model = Model(manifest.name, manifest.version, {manifest.version: Loaded(encoder)})
    app = create_app(Settings(threads=2, request_timeout_s=60), Registry({manifest.name: model}))
    async with app.router.lifespan_context(app), listening(app) as (port, _):
        url = f"http://127.0.0.1:{port}"
        clients = [httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) for _ in range(CALLERS)]
        try:
            yield clients
        finally:
            for client in clients:
                await client.aclose()


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (raises, "encoder_failed"),
        (panics, "encoder_failed"),
        (gives_nan, "numerical_error"),
        (gives_infinity, "numerical_error"),
    ],
)
async def test_only_who_sent_it_is_told(
    published: Path, run: Callable[..., Any], code: str, effort: Any, figure: Any
) -> None:
    encoder: Any = Store(published).load("text")
    await neighbours_are_spared(encoder, Poisoned(encoder, run), code, effort, figure)


@pytest.mark.parametrize(
    ("publish", "code"),
    [(poisonous.spreads_nan, "numerical_error"), (poisonous.fails, "encoder_failed")],
)
async def test_a_graph_that_a_row_breaks_for_all_is_run_again_without_it(
    tmp_path: Path, publish: Callable[[Path], Encoder], code: str, effort: Any, figure: Any
) -> None:
    """Bundles as they may be published: in one the row's NaN reaches all rows, in one a node raises."""
    encoder = publish(tmp_path)
    marked, clean = encoder.prepare([Text(f"red {MARKER}"), Text("hello world")])
    if code == "numerical_error":
        assert np.isnan(encoder.run([clean, marked])).all()
    else:
        with pytest.raises(Exception, match="out of data bounds"):
            encoder.run([clean, marked])

    await neighbours_are_spared(encoder, encoder, code, effort, figure)


async def neighbours_are_spared(encoder: Encoder, poisoned: Any, code: str, effort: Any, figure: Any) -> None:
    """Ask for random batches, some with the word; `encoder` says what the others' vectors are."""
    drawn = random.Random(8)
    seen: Counter[str] = Counter()

    async def ask(client: httpx.AsyncClient, texts: list[str]) -> None:
        answer = await client.post("/encode", json={"inputs": texts})
        marked = [index for index, text in enumerate(texts) if MARKER in text]
        if marked:
            seen["poisoned"] += 1
            assert answer.status_code == 500, answer.text
            error = answer.json()["error"]
            assert error["param"] in {f"inputs[{index}]" for index in marked}
            assert error["code"] == code
            return
        seen["neighbours"] += 1
        if answer.status_code != 200:
            seen["neighbours that failed"] += 1
            return
        alone = np.stack([encoder.encode([text])[0] for text in map(Text, texts)])
        assert np.abs(np.array(answer.json()["embeddings"]) - alone).max() <= SAME

    async with serving(poisoned) as clients:
        for _ in range(effort(15, 300)):
            asked = [[sentence(drawn) for _ in range(drawn.randint(1, 6))] for _ in clients]
            for texts in drawn.sample(asked, drawn.randint(1, 2)):
                texts[drawn.randrange(len(texts))] += f" {MARKER}"
            await asyncio.gather(*map(ask, clients, asked))

    figure("F8", "batches with a bad input", seen["poisoned"])
    figure("F8", "neighbours that failed with it", seen["neighbours that failed"], at_most=0)
    assert seen["neighbours that failed"] == 0
    assert seen["poisoned"]


def sentence(drawn: random.Random) -> str:
    return " ".join(drawn.choices(WORDS, k=drawn.randint(1, 10)))
