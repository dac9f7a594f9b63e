"""F4: bad bundles are refused, each with a reason that is told everywhere, and nobody else is harmed.

A mutant may be served where it still gives the vectors that the encoder it was made of is known by.
"""

from __future__ import annotations

import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import bad_bundles
import httpx2 as httpx
import numpy as np
import pytest
from bad_bundles import CHANGES, VERSION, Mutant
from mutants import KILLERS
from running import server

from bundle.directory import GOLDEN
from bundle.golden import TOLERANCE, Golden, deviation

BATCH = 100  # of the long form, in one directory of models
PROOF_S = "2"  # the tiny bundles take a hundredth
PAUSE_S = 0.02
FATES = ("served with the known vectors", "refused", "served wrongly", "refused without reason or metric")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("sound")
    bad_bundles.publish_sound(models)
    return models


@pytest.fixture(scope="module")
def known(sound: Path) -> dict[str, Golden]:
    return {path.name: Golden.from_bytes((path / VERSION / GOLDEN).read_bytes()) for path in sound.iterdir()}


def ask(client: httpx.Client, golden: Golden, **body: Any) -> httpx.Response:
    body |= {"inputs": list(golden.inputs), "truncate": golden.truncate, "now": golden.now}
    return client.post("/encode", json=body)


def agrees(answer: httpx.Response, golden: Golden) -> bool:
    if answer.status_code != 200:
        return False
    found = np.array(answer.json()["embeddings"], dtype=np.float32)
    return found.shape == golden.vectors.shape and deviation(found, golden.vectors) <= TOLERANCE


@contextmanager
def asking(client: httpx.Client, golden: Golden) -> Iterator[Counter[bool]]:
    """Ask the sound model until the block ends: how often it agreed."""
    seen: Counter[bool] = Counter()
    is_over = threading.Event()

    def run() -> None:
        while True:  # once at least
            seen[agrees(ask(client, golden, model="text"), golden)] += 1
            if is_over.wait(PAUSE_S):
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


def fates(client: httpx.Client, mutants: list[Mutant], known: dict[str, Golden]) -> dict[str, list[Mutant]]:
    """What became of each."""
    listed = {one["name"]: one for one in client.get("/models").json()["models"]}
    health = {(one["name"], one["version"]): one["reason"] for one in client.get("/health").json()["refused"]}
    metrics = client.get("/metrics").text
    found: dict[str, list[Mutant]] = {fate: [] for fate in FATES}
    for mutant in mutants:
        row, golden = listed.get(mutant.name, {"refused": [], "loaded": []}), known[mutant.of]
        refused = row["refused"]
        told = [
            10 < len(one["reason"]) < 500
            and health.get((mutant.name, one["version"])) == one["reason"]
            and f'encodery_model_refused{{model="{mutant.name}",version="{one["version"] or ""}"}} 1.0'
            in metrics
            for one in refused
        ]
        answers = [
            ask(client, golden, model=mutant.name, version=version) for version in row["loaded"] if row
        ]
        if not all(agrees(answer, golden) for answer in answers):
            fate = "served wrongly"
        elif not all(told) or not (refused or answers):
            fate = "refused without reason or metric"
        else:
            fate = "refused" if refused else "served with the known vectors"
        found[fate].append(mutant)
    return found


def batches(effort: Callable[..., Any], seed: int) -> list[list[str]]:
    """Every change as often as every other; killers, which take seconds each, once and in the long form."""
    changes = [name for name in CHANGES if name not in KILLERS]
    many = changes * effort(1, 1 + 500 // len(changes))
    random.Random(seed).shuffle(many)
    many = many[: effort(len(changes), 500)] + effort([], list(KILLERS))
    return [many[at : at + BATCH] for at in range(0, len(many), BATCH)]


def recorded(figure: Any, found: list[dict[str, list[Mutant]]], seen: Counter[bool], how: str) -> None:
    counts = {fate: sum(len(one[fate]) for one in found) for fate in FATES}
    figure("F4", f"mutants {how}", sum(counts.values()))
    figure("F4", f"{how}: served, and give the known vectors", counts[FATES[0]])
    figure("F4", f"{how}: served wrongly", counts[FATES[2]], at_most=0)
    figure("F4", f"{how}: refused without reason, status or metric", counts[FATES[3]], at_most=0)
    figure("F4", f"{how}: requests to others that failed meanwhile", seen[False], at_most=0)
    assert [one[FATES[2]] for one in found if one[FATES[2]]] == []
    assert [one[FATES[3]] for one in found if one[FATES[3]]] == []
    assert counts["refused"] > 3 * counts[FATES[0]]
    assert seen[True] > seen[False] == 0


def test_those_that_are_there_at_the_start(
    sound: Path, known: dict[str, Golden], tmp_path: Path, effort: Callable[..., Any], figure: Any
) -> None:
    found, seen, names = list[dict[str, list[Mutant]]](), Counter[bool](), (f"m{n}" for n in count())
    for number, changes in enumerate(batches(effort, 0)):
        models = tmp_path / str(number)
        shutil.copytree(sound / "text", models / "text")
        mutants = bad_bundles.breed(sound, models, names, changes, number)
        with server(models, ENCODERY_PROOF_LIMIT_S=PROOF_S) as running:
            url = running.logged("ready")["url"]
            with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
                with asking(client, known["text"]) as met:
                    found.append(fates(client, mutants, known))
                seen += met
            running.process.send_signal(signal.SIGTERM)
            assert running.wait() == 0
        shutil.rmtree(models)
    recorded(figure, found, seen, "there at the start")


def test_those_that_appear_while_it_serves(
    sound: Path, known: dict[str, Golden], tmp_path: Path, effort: Callable[..., Any], figure: Any
) -> None:
    models, found, names = tmp_path / "models", list[dict[str, list[Mutant]]](), (f"m{n}" for n in count())
    shutil.copytree(sound / "text", models / "text")
    with server(models, ENCODERY_PROOF_LIMIT_S=PROOF_S) as running:
        url = running.logged("ready")["url"]
        with (
            httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
            asking(client, known["text"]) as seen,
        ):
            for number, changes in enumerate(batches(effort, 1)):
                mutants = bad_bundles.breed(sound, models, names, changes, 1000 + number)
                running.process.send_signal(signal.SIGHUP)
                running.logged("reloaded", times=1 + number)
                found.append(fates(client, mutants, known))
                for mutant in mutants:
                    shutil.rmtree(models / mutant.name)
        running.process.send_signal(signal.SIGTERM)
        assert running.wait() == 0
    recorded(figure, found, seen, "that appeared while it served")
