"""The promotion gate: bounds on the figures of a comparison, from a TOML file, and the reasons to refuse.

[figures]
"overlap@10" = { least = 0.85 }
regressed = { most = 0.05 }

[metrics]                                   # of the manifests, by their names
"ndcg@10 my-set, test" = { least = 0.48, most_lost = 0.01 }
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from bundle.words import first_error
from encodery.spaces.compare import OVERLAP, REGRESSED, Comparison
from encodery.spaces.errors import SpaceError


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Bound(_Part):
    """What a figure must be, at least or at most."""

    least: float | None = None
    most: float | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Bound:
        if not any(value is not None for value in self.model_dump().values()):
            raise ValueError("expected a bound, for example { least = 0.85 }")
        return self


class MetricBound(Bound):
    """The same of a figure of the manifest; it may be bounded by the old version's, too."""

    most_lost: float | None = None


class Gate(_Part):
    """Bounds by the name of a figure; without `figures`, what a new training should keep."""

    figures: dict[str, Bound] = {OVERLAP: Bound(least=0.85), REGRESSED: Bound(most=0.05)}
    metrics: dict[str, MetricBound] = {}

    @classmethod
    def from_file(cls, path: Path) -> Gate:
        """Read TOML. Raises SpaceError."""
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SpaceError(f"{path.name} is not TOML: {error}") from None
        except ValidationError as error:
            raise SpaceError(f"{path.name}: {first_error(error)}") from None

    def reasons(self, comparison: Comparison) -> list[str]:
        """Why the new encoder may not follow the old one, a sentence each; empty if it may.

        Raises:
            SpaceError: a figure of that name was not measured.
        """
        return [*self._of_figures(comparison.figures), *self._of_metrics(comparison)]

    def _of_figures(self, figures: Mapping[str, float]) -> Iterator[str]:
        for name, bound in self.figures.items():
            if name not in figures:
                raise SpaceError(
                    f"the gate bounds {name!r}, which was not measured; measured are {', '.join(figures)} "
                    "(recall needs labels, cosines vectors of one length)"
                )
            yield from _broken(name, figures[name], bound)

    def _of_metrics(self, comparison: Comparison) -> Iterator[str]:
        old, new = comparison.old_metrics, comparison.new_metrics
        for name, bound in self.metrics.items():
            if name not in new:
                yield f"{comparison.new} has no figure {name!r} in its manifest"
                continue
            yield from _broken(name, new[name], bound)
            if bound.most_lost is not None and name in old and old[name] - new[name] > bound.most_lost:
                lost = old[name] - new[name]
                yield f"{name} lost {lost:.4f}, the most is {bound.most_lost:g}"


def _broken(name: str, value: float, bound: Bound) -> Iterator[str]:
    if bound.least is not None and not value >= bound.least:  # NaN is no pass
        yield f"{name} is {value:.4f}, the least is {bound.least:g}"
    if bound.most is not None and not value <= bound.most:
        yield f"{name} is {value:.4f}, the most is {bound.most:g}"
