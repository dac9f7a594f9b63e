"""Chooses settings one axis at a time, and does not stop at the end of a grid while the best is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Settings: TypeAlias = Mapping[str, Any]

ROUNDS = 2  # over all axes: the second sees what the first has chosen on the others
MOST_STEPS = 6  # beyond each end of a grid


@dataclass(frozen=True)
class Axis:
    """One setting.

    Attributes:
        values: to begin with, in order.
        factor: between the values beyond either end; without one these values are all there are.
        least: a value that nothing is below, so that choosing it leaves no question open.
    """

    name: str
    values: Sequence[Any]
    factor: float | None = None
    least: float | None = None

    def beyond(self, tried: Sequence[Any], best: Any) -> Any | None:
        """The next value to try past the end that the best stands at; None if it stands at none."""
        if self.factor is None:
            return None
        reach = self.factor**MOST_STEPS
        if best == tried[-1] and best < self.values[-1] * reach:
            return best * self.factor
        if best == tried[0] and best != self.least and best > self.values[0] / reach:
            return best / self.factor
        return None


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        value: the metric on the split that it was chosen by.
        tried: how many settings were.
        at_edge: settings whose best is the last value that was tried: a better one may be further on.
    """

    settings: Settings
    value: float
    tried: int
    at_edge: list[str]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Choice:
        """Read what `dataclasses.asdict` and JSON have made of one; lists were tuples."""
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content["settings"].items()
        }
        return cls(**{**content, "settings": settings})


def search(axes: Sequence[Axis], start: Settings, value: Callable[[Settings], float]) -> Choice:
    """Find the settings with the largest value, axis by axis from `start`; equal ones change nothing."""
    found: dict[tuple[Any, ...], float] = {}

    def measured(settings: Settings) -> float:
        key = tuple(settings[axis.name] for axis in axes)
        if key not in found:
            found[key] = value(settings)
        return found[key]

    best, at_edge = dict(start), set[str]()
    for _ in range(ROUNDS):
        before = dict(best)
        for axis in axes:
            best[axis.name], is_edge = _best_of(axis, best, measured)
            at_edge = at_edge | {axis.name} if is_edge else at_edge - {axis.name}
        if best == before:
            break
    return Choice(best, measured(best), len(found), sorted(at_edge))


def _best_of(axis: Axis, settings: Settings, measured: Callable[[Settings], float]) -> tuple[Any, bool]:
    """The best value of an axis, the others as they are; and whether it is the last one that was tried."""
    tried = list(axis.values)
    if settings[axis.name] not in tried:  # found beyond the grid in an earlier round
        tried = sorted([*tried, settings[axis.name]])
    while True:
        best = max(
            tried, key=lambda one: (measured({**settings, axis.name: one}), one == settings[axis.name])
        )
        further = axis.beyond(tried, best)
        if further is None:
            break
        tried = sorted([*tried, further])
    has_more = axis.factor is not None and best != axis.least
    return best, has_more and best in (tried[0], tried[-1])
