"""Row F9: a vector does not depend on what else is asked for at the time, over real connections."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from running import ROOT, serving

pytestmark = pytest.mark.e2e

CALLERS = 8
SAME = 1e-5  # float32, in proportion to the length of the vector
BUNDLED = ROOT / "models"
TEXTS = (
    "Where is my parcel?",
    "My delivery has not arrived.",
    "a",
    "How do I reset the password of my account when I no longer have the telephone?",
    "The quick brown fox jumps over the lazy dog. " * 6,
    "Überweisung nach Österreich, 12,50 €",
    "¿Dónde está la estación?",
    "x" * 300,
    "1 2 3 4 5 6 7 8 9 10",
)


def some_text(drawn: random.Random) -> str:
    words = " ".join(drawn.sample(TEXTS, drawn.randint(1, 2))).split()
    return " ".join(words[: drawn.randint(1, len(words))])


def some_user(drawn: random.Random) -> dict[str, Any]:
    codes = ("85123A", "71053", "84406B", "22423", "nobody's")
    entries = [
        {"id": drawn.choice(codes), "time": f"2011-{drawn.randint(1, 11):02}-05"}
        for _ in range(drawn.randint(0, 30))
    ]
    return {"history": entries, "country": drawn.choice(("France", "United Kingdom", "nowhere"))}


def some_item(drawn: random.Random) -> dict[str, Any]:
    words = drawn.choices(("RED", "RETROSPOT", "LUNCH", "BAG", "HEART", "unheard"), k=drawn.randint(1, 6))
    return {
        "id": drawn.choice(("85123A", "new")),
        "description": " ".join(words),
        "price": drawn.random() * 9,
    }


MODELS: Mapping[str, Callable[[random.Random], Any]] = {
    "text": some_text,
    "text-multi": some_text,
    "text-small": some_text,
    "retail-user": some_user,
    "retail-item": some_item,
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(
        BUNDLED, ENCODERY_REQUEST_TIMEOUT_S="60", ENCODERY_MAX_WAIT_S="60"
    ) as url:  # none is refused
        yield url


def encoded(client: httpx.Client, model: str, inputs: list[Any]) -> np.ndarray:
    body = {"model": model, "inputs": inputs, "now": "2012-01-01"}
    answer = client.post("/encode", json=body, headers={"Accept": "application/x-npy"}).raise_for_status()
    return np.load(BytesIO(answer.content))


@pytest.mark.parametrize("model", MODELS)
def test_rows_alone_equal_rows_in_any_company(url: str, model: str, effort: Any, figure: Any) -> None:
    drawn = random.Random(9)
    inputs = [MODELS[model](drawn) for _ in range(effort(30, 1000))]
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
        alone = np.concatenate([encoded(client, model, [one]) for one in inputs])
    rounds = effort(6, 60)
    with ThreadPoolExecutor(CALLERS) as callers:
        worst = max(callers.map(lambda seed: farthest(url, model, inputs, alone, seed=seed), range(rounds)))

    figure("F9", f"{model}: largest difference of a number, in proportion", worst, at_most=SAME)
    assert worst <= SAME


@pytest.mark.parametrize("model", ["text", "text-small"])
def test_texts_get_the_same_bits_where_that_is_asked_for(model: str) -> None:
    drawn = random.Random(5)
    inputs = [some_text(drawn) for _ in range(40)]
    asked = {
        "ENCODERY_SAME_BITS": "true",
        "ENCODERY_RESULT_CACHE_BYTES": "0",
        "ENCODERY_REQUEST_TIMEOUT_S": "60",
    }
    with serving(BUNDLED, **asked) as url, httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
        alone = np.concatenate([encoded(client, model, [one]) for one in inputs])
        worst = max(farthest(url, model, inputs, alone, seed=seed) for seed in range(3))

    assert worst == 0.0


def farthest(url: str, model: str, inputs: list[Any], alone: np.ndarray, *, seed: int) -> float:
    """Ask for all, in an order and in requests drawn at random, while others do the same."""
    drawn, worst = random.Random(seed), 0.0
    order = drawn.sample(range(len(inputs)), len(inputs))
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
        while order:
            count = drawn.randint(1, 24)
            rows, order = order[:count], order[count:]
            together = encoded(client, model, [inputs[row] for row in rows])
            lengths = np.linalg.norm(alone[rows], axis=1, keepdims=True)
            worst = max(worst, float((np.abs(together - alone[rows]) / np.maximum(lengths, 1)).max()))
    return worst
