"""Which versions the workers serve: decided and proven once for each generation of them.

    begin -> a round is planned, and proven in the background -> proven, if it is sound -> workers follow it

A reload is all or nothing: where a model that was ready would be refused now, the generation stays.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from app.proving import Round, VerdictFiles, place_to_keep
from app.settings import Settings
from app.shared.listener import CannotServe

PLAN = "plan.json"

log = structlog.get_logger("encodery")


class Generations:
    """The rounds of a supervisor, by number.

    Args:
        settings: name the models.
        directory: private, which the workers see: the plan and the verdicts of each generation have one
            in it.

    Raises:
        CannotServe: as `Round.begin` does.
    """

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self.kept = self._stack.enter_context(place_to_keep(settings))
        self._rounds = [Round.begin(settings, self._verdicts_of(0), self.kept)]
        self._next: Round | None = None
        self._is_wanted_again = False
        self.settings = self._rounds[0].settings
        self._rounds[0].plan.write(self.place(0) / PLAN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (*self._rounds, *([self._next] if self._next else [])):
            one.close()
        self._stack.close()

    def place(self, generation: int) -> Path:
        """The directory of a generation, for its workers."""
        return self._directory / f"generation-{generation}"

    def _verdicts_of(self, generation: int) -> VerdictFiles:
        shutil.rmtree(self.place(generation), ignore_errors=True)  # of one that was not taken
        self.place(generation).mkdir()
        return VerdictFiles(self.place(generation))

    def begin(self) -> None:
        """Plan and prove what is published and current now."""
        if self._next is not None:
            self._is_wanted_again = True
            return
        log.info("reloading")
        verdicts, before = self._verdicts_of(len(self._rounds)), self._rounds[-1].verdicts
        try:
            self._next = Round.begin(self.settings, verdicts, self.kept, before)
        except CannotServe as error:
            log.error("not reloaded: the models from before go on", reason=str(error))

    def proven(self) -> int | None:
        """The number of the generation that was begun, once it is proven and sound; None until then."""
        found = self._next
        if found is None or not found.has_proven():
            return None
        self._next = None
        generation = self._take(found)
        if self._is_wanted_again:
            self._is_wanted_again = False
            self.begin()
        return generation

    def _take(self, found: Round) -> int | None:
        if worse := found.refused_now(self._rounds[-1]):
            log.error("not reloaded: the models from before go on", refused=worse)
            found.close()
            return None
        self._rounds.append(found)
        generation = len(self._rounds) - 1
        found.plan.write(self.place(generation) / PLAN)
        return generation
