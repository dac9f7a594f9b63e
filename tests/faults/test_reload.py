"""F3: models are published and all workers switched to them, again and again, under load.

Every answer is checked against what its version must give: one that mixes two versions is found.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import tiny
from running import server

from bundle import Store, Text, publish

CALLERS, PAUSE_S = 4, 0.01
MIXED = "vectors of another version"
TEXT = "the cat sat on the red mat"
OTHERS = (TEXT, "hello world", "a blue lamp")  # asked in one request, in another order each time


class History:
    """Answers, in the order in which their requests went out, and what was wrong with them."""

    def __init__(self, models: Path) -> None:
        self._models, self._lock = models, threading.Lock()
        self._expected: dict[str, np.ndarray] = {}
        self.wrong: Counter[str] = Counter()
        self.versions: list[tuple[float, int]] = []

    def add(self, sent_s: float, order: list[int], answer: httpx.Response) -> None:
        if answer.status_code != 200:
            self.wrong[str(answer.status_code)] += 1
            return
        content = answer.json()
        expected = self._vectors(content["version"])[order]
        with self._lock:
            self.versions.append((sent_s, int(content["version"])))
            if np.abs(expected - content["embeddings"]).max() > 1e-5:
                self.wrong[MIXED] += 1

    def _vectors(self, version: str) -> np.ndarray:
        with self._lock:
            if version not in self._expected:
                encoder = Store(self._models).load("text", version)
                self._expected[version] = encoder.encode([Text(text) for text in OTHERS])
            return self._expected[version]


def ask(url: str, history: History, is_over: threading.Event, seed: int) -> None:
    """Half of the callers keep their connection."""
    chance = np.random.default_rng(seed)
    headers = {"Connection": "close"} if seed % 2 else {}
    with httpx.Client(base_url=url, trust_env=False, timeout=30, headers=headers) as client:
        while not is_over.wait(PAUSE_S):
            order = [int(place) for place in chance.permutation(len(OTHERS))]
            sent_s = time.monotonic()
            try:
                answer = client.post("/encode", json={"inputs": [OTHERS[place] for place in order]})
            except httpx.TransportError as error:
                history.wrong[type(error).__name__] += 1
            else:
                history.add(sent_s, order, answer)


def test_reloads_under_load_lose_nothing_and_mix_nothing(
    models: Path, effort: Callable[..., int], figure: Any
) -> None:
    reloads, acknowledged = effort(1, 10), list[tuple[float, int]]()
    history, is_over = History(models), threading.Event()
    with server(models, ENCODERY_WORKERS="2") as running:
        running.logged("all workers serve")
        url = str(running.logged("ready")["url"])
        callers = [
            threading.Thread(target=ask, args=[url, history, is_over, seed]) for seed in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        for number in range(1, reloads + 1):
            publish(models, [tiny.text_draft(seed=number)])
            running.process.send_signal(signal.SIGHUP)
            running.logged("reloaded", times=number)
            acknowledged.append((time.monotonic(), number + 1))
            time.sleep(0.3)
        is_over.set()
        for caller in callers:
            caller.join()

    stale = [
        version
        for sent_s, version in history.versions
        for at_s, newest in acknowledged
        if sent_s > at_s and version < newest
    ]
    figure("F3", "reloads", reloads)
    figure("F3", "answers", len(history.versions))
    figure("F3", "requests that failed", history.wrong.total() - history.wrong[MIXED], at_most=0)
    figure("F3", "answers with vectors of another version", history.wrong[MIXED], at_most=0)
    figure("F3", "answers of a version from before, after the reload", len(stale), at_most=0)
    assert not history.wrong
    assert not stale
    assert {version for _, version in history.versions} == set(range(1, reloads + 2))
