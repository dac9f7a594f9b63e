"""What is loaded beside what serves: versions that stay are taken over, unseen and as they are."""

from __future__ import annotations

from pathlib import Path

import tiny

from app.engine import Loader, load_registry
from app.proving import Verdict, VerdictsInMemory, plan_of
from bundle import Store, publish


class Counting(VerdictsInMemory):
    """Counts who is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def get(self, digest: str) -> Verdict | None:
        self.asked.append(digest)
        return super().get(digest)


def test_what_stays_is_taken_over_without_a_look_at_its_verdict(models: Path) -> None:
    """In a server each look is a file, and a wait for whoever holds Python's lock."""
    store = Store(models)
    before = load_registry(store, versions_per_model=2)
    publish(models, [tiny.text_draft(seed=1)])
    plan, verdicts = plan_of(store, 2), Counting()
    new = next(one for one in plan.versions() if (one.name, one.version) == ("text", "2"))
    verdicts.put(new.digest, Verdict())
    loader = Loader(store, plan, verdicts, before=before)
    loader.load()

    assert set(verdicts.asked) == {new.digest}
    assert loader.registry.find("text", version="1") is before.find("text")
    assert [(one.manifest.name, one.manifest.version) for one in loader.registry.loaded] == [
        ("shop-item", "1"), ("shop-user", "1"), ("text", "2"), ("text", "1"),
    ]  # fmt: skip


def test_a_pace_that_was_not_measured_yet_is_waited_for_by_who_takes_over(models: Path) -> None:
    store = Store(models)
    plan, verdicts = plan_of(store, 1), VerdictsInMemory()
    for one in plan.versions():
        verdicts.put(one.digest, Verdict())
    first = Loader(store, plan, verdicts)
    first.load()
    second = Loader(store, plan, verdicts, before=first.registry)
    second.load()
    measured = next(one for one in plan.versions() if one.name == "text")
    verdicts.put(measured.digest, Verdict(pace={"rates": {64: 1e4}, "batch_cost": 64, "deep_cost": 64}))
    [(loaded, profile)] = second.measured()
    loaded.pace.seed(profile)
    third = Loader(store, plan, verdicts, before=second.registry)
    third.load()

    assert loaded is first.registry.find("text")
    assert profile.batch_cost == 64
    assert [loaded for loaded, _ in third.measured()] == []
