"""The controller with real bundles and a real prover; the processes that follow only pretend to load."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny
from running import until

from app.generations import (
    Controller,
    Outcome,
    RecordFiles,
    Records,
    RecordsInMemory,
    Reload,
    SetAlias,
)
from app.generations.controller import FIRST, KEPT_RECORDS
from app.proving import Plan
from app.settings import Settings
from app.shared.scoreboard import Scoreboard
from app.shared.switch import Switch
from bundle import publish, set_alias

HANG_UP = Reload("SIGHUP")


class Followers:
    """Processes that load what is offered, as soon as they see it.

    Attributes:
        may_load: asked before each load; False refuses, None says nothing for now.
        seen: plans that were loaded, by generation.
    """

    def __init__(self, switch: Switch, records: Records, slots: int) -> None:
        self.switch, self._records, self._slots = switch, records, slots
        self.may_load: Callable[[int, int], bool | None] = lambda slot, generation: True
        self.seen: dict[int, Plan] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._follow)

    def _follow(self) -> None:
        loaded = [self.switch.current] * self._slots
        for slot in range(self._slots):
            self.switch.answers_by(slot, loaded[slot])
        while not self._is_over.wait(0.005):
            for slot in range(self._slots):
                if (offered := self.switch.offered) <= loaded[slot]:
                    continue
                if (may := self.may_load(slot, offered)) is None:
                    continue
                self.seen[offered], _ = self._records.read(offered)
                (self.switch.answers_by if may else self.switch.lacks)(slot, offered)
                loaded[slot] = offered

    @contextmanager
    def following(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            self._thread.join()


@pytest.fixture(params=["one process", "two"])
def running(
    request: pytest.FixtureRequest, models: Path, tmp_path: Path
) -> Iterator[tuple[Controller, Followers]]:
    settings = Settings(models_dir=models, threads=1, cache_dir=_private(tmp_path / "cache"), poll_s=0)
    records: Records = RecordsInMemory()
    switch, slots = Switch.alone(), 1
    if request.param == "two":
        directory = _private(tmp_path / "shared")
        records, switch, slots = RecordFiles(directory), Scoreboard(directory, 2).switch, 2
    with Controller(settings, records, switch, is_shared=slots > 1) as controller:
        followers = Followers(switch, records, slots)
        with followers.following():
            until(lambda: bool(switch.waiting(99)))
            yield controller, followers


def _private(directory: Path) -> Path:
    directory.mkdir(mode=0o700)
    return directory


def changed(controller: Controller) -> Outcome:
    return controller.submit(HANG_UP).result(60)


def currents(plan: Plan) -> dict[str, str | None]:
    return {model.name: model.current for model in plan.models}


def test_a_new_version_is_taken_by_all(running: tuple[Controller, Followers], models: Path) -> None:
    controller, followers = running
    publish(models, [tiny.text_draft(seed=1)])
    outcome = changed(controller)

    assert outcome.reason is None
    assert (followers.switch.current, followers.switch.offered) == (2, 2)
    assert currents(followers.seen[2]) == {"text": "2", "shop-item": "1", "shop-user": "1"}
    assert [one.version for one in followers.seen[2].models[-1].versions] == ["2", "1"]


def test_what_one_process_cannot_load_is_taken_by_none(
    running: tuple[Controller, Followers], models: Path
) -> None:
    controller, followers = running
    followers.may_load = lambda slot, generation: slot != 0
    publish(models, [tiny.text_draft(seed=1)])
    refused = changed(controller)
    followers.may_load = lambda slot, generation: True
    later = changed(controller)

    assert refused.code == "not_sound"
    assert "cannot be loaded" in str(refused.reason)
    assert later.reason is None
    assert (followers.switch.current, followers.switch.offered) == (3, 3)


def test_a_process_that_does_not_come_is_waited_for_and_no_longer(models: Path, tmp_path: Path) -> None:
    settings = Settings(
        models_dir=models, threads=1, cache_dir=_private(tmp_path / "cache"), proof_limit_s=5.0
    )
    records, switch = RecordsInMemory(), Switch.alone()
    with Controller(settings, records, switch) as controller:
        switch.answers_by(0, 1)
        outcome = controller.submit(HANG_UP).result(120)

        assert "within 10 s" in str(outcome.reason)
        assert (switch.current, switch.offered) == (1, 1)


def test_a_version_that_is_refused_changes_nothing(
    running: tuple[Controller, Followers], models: Path
) -> None:
    controller, followers = running
    publish(models, [tiny.text_draft(seed=1)])
    (models / "text" / "2" / "golden.json").unlink()
    outcome = changed(controller)

    assert list(outcome.refused) == ["text"]
    assert (followers.switch.current, followers.switch.offered) == (1, 1)
    assert followers.seen == {}


def test_without_any_model_what_there_is_goes_on(running: tuple[Controller, Followers], models: Path) -> None:
    controller, followers = running
    shutil.rmtree(models)
    models.mkdir()

    assert "holds no model" in str(changed(controller).reason)
    assert followers.switch.current == 1


def test_what_was_current_before_stays_beside_what_is(
    running: tuple[Controller, Followers], models: Path
) -> None:
    """However many newer ones there are: going back finds it loaded."""
    controller, followers = running
    publish(models, [tiny.text_draft(seed=1)])
    pointer = (models / "text" / "current").read_bytes()
    publish(models, [tiny.text_draft(seed=2)])
    changed(controller)
    (models / "text" / "current").write_bytes(pointer)
    changed(controller)
    publish(models, [tiny.text_draft(seed=3)])
    (models / "text" / "current").write_bytes(pointer)
    changed(controller)

    assert [[one.version for one in followers.seen[n].models[-1].versions] for n in (2, 3, 4)] == [
        ["3", "1"],
        ["2", "3"],
        ["2", "3"],
    ]


def test_reloads_that_wait_are_one(running: tuple[Controller, Followers], models: Path) -> None:
    """However often somebody hangs up, a change that comes after waits for two of them at most."""
    controller, followers = running
    followers.may_load = lambda slot, generation: None
    first = controller.submit(HANG_UP)
    until(lambda: followers.switch.offered == 2)
    waiting = {controller.submit(HANG_UP) for _ in range(50)}
    followers.may_load = lambda slot, generation: True
    switched = controller.submit(SetAlias("somebody", "text", "champion", {"1": 100}))

    assert switched.result(60).reason is None
    assert len(waiting) == 1
    assert all(one.result(60).reason is None for one in (first, *waiting))
    assert followers.switch.current == 4


def test_a_change_of_this_server_is_no_reason_to_look_again(models: Path, tmp_path: Path) -> None:
    """But what somebody else changed meanwhile is one."""
    settings = Settings(models_dir=models, threads=1, cache_dir=_private(tmp_path / "cache"), poll_s=0.05)
    records, switch = RecordsInMemory(), Switch.alone()
    publish(models, [tiny.text_draft(seed=1)])
    with Controller(settings, records, switch) as controller:
        back = controller.submit(SetAlias("somebody", "text", "current", {"1": 100}, new_space=True))
        assert back.result(60).reason is None
        flipped = switch.current
        time.sleep(10 * settings.poll_s)
        assert switch.current == flipped
        set_alias(models, "text", "champion", {"1": 100})
        until(lambda: switch.current > flipped)

    assert records.read(switch.current)[0].model("text").aliases == {"champion": {"1": 100}}  # type: ignore[union-attr]  # it is there


def test_a_directory_that_is_away_for_a_while_ends_nothing(models: Path, tmp_path: Path) -> None:
    settings = Settings(models_dir=models, threads=1, cache_dir=_private(tmp_path / "cache"), poll_s=0.05)
    switch, away = Switch.alone(), tmp_path / "away"
    with Controller(settings, RecordsInMemory(), switch) as controller:
        models.rename(away)
        models.write_text("no directory")
        refused = controller.submit(HANG_UP).result(60)
        time.sleep(5 * settings.poll_s)
        models.unlink()
        away.rename(models)
        publish(models, [tiny.text_draft(seed=1)])
        until(lambda: switch.current > FIRST)

    assert refused.code == "not_sound"


def test_a_pointer_that_changed_is_noticed(models: Path, tmp_path: Path) -> None:
    settings = Settings(models_dir=models, threads=1, cache_dir=_private(tmp_path / "cache"), poll_s=0.05)
    records, switch = RecordsInMemory(), Switch.alone()
    with Controller(settings, records, switch):
        publish(models, [tiny.text_draft(seed=1)])
        until(lambda: switch.current == 2)

        assert currents(records.read(2)[0])["text"] == "2"


def test_generations_that_nobody_loads_any_more_leave_nothing(
    running: tuple[Controller, Followers], tmp_path: Path
) -> None:
    controller, _ = running
    for _ in range(KEPT_RECORDS + 3):
        assert changed(controller).reason is None

    assert len(list(tmp_path.glob("shared/generation-*"))) in (0, KEPT_RECORDS + 1)
