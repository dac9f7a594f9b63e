"""What each generation is: its plan, and the verdicts on it, for whoever loads it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from app.proving import Plan, VerdictFiles, Verdicts, VerdictsInMemory

PLAN = "plan.json"


class Records(Protocol):
    """Generations by their numbers."""

    def begin(self, generation: int) -> Verdicts:
        """Make a place for the verdicts of a new one."""
        ...

    def settle(self, generation: int, plan: Plan) -> None:
        """Say what it is; before anybody is told of it."""
        ...

    def read(self, generation: int) -> tuple[Plan, Verdicts]:
        """Its plan, and the verdicts on it as they come."""
        ...

    def forget(self, generation: int) -> None:
        """Remove one that nobody will load any more."""
        ...


class RecordsInMemory:
    """For a process that serves alone."""

    def __init__(self) -> None:
        self._verdicts: dict[int, Verdicts] = {}
        self._plans: dict[int, Plan] = {}

    def begin(self, generation: int) -> Verdicts:
        return self._verdicts.setdefault(generation, VerdictsInMemory())

    def settle(self, generation: int, plan: Plan) -> None:
        self._plans[generation] = plan

    def read(self, generation: int) -> tuple[Plan, Verdicts]:
        return self._plans[generation], self._verdicts[generation]

    def forget(self, generation: int) -> None:
        self._plans.pop(generation, None)
        self._verdicts.pop(generation, None)


class RecordFiles:
    """For processes that serve together: a directory of small files for each.

    Args:
        directory: private to them.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def begin(self, generation: int) -> Verdicts:
        self._place(generation).mkdir()
        return VerdictFiles(self._place(generation))

    def settle(self, generation: int, plan: Plan) -> None:
        plan.write(self._place(generation) / PLAN)

    def read(self, generation: int) -> tuple[Plan, Verdicts]:
        place = self._place(generation)
        return Plan.read(place / PLAN), VerdictFiles(place)

    def forget(self, generation: int) -> None:
        shutil.rmtree(self._place(generation), ignore_errors=True)

    def _place(self, generation: int) -> Path:
        return self._directory / f"generation-{generation}"
