"""The metrics of several processes as one: whichever is asked for /metrics answers for all.

prometheus_client keeps each process's values in files; they are named by slot, not by process, so that a
process that takes a dead one's place counts on, and the files stay as few as the slots.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest, values
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from app.shared.scoreboard import Field, Scoreboard, WorkerSlot


def keep(slot: WorkerSlot) -> None:
    """Let every metric that this process makes from now on be kept for all to see."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(slot.scoreboard.directory)
    values.ValueClass = values.MultiProcessValue(lambda: slot.number)  # type: ignore[no-untyped-call]


def forget(directory: Path, slot: int) -> None:
    """Forget the gauges of a process that is gone; what it counted stays."""
    mark_process_dead(slot, str(directory))  # type: ignore[no-untyped-call]


def text(scoreboard: Scoreboard) -> bytes:
    """The answer of /metrics, for all processes."""
    registry = CollectorRegistry()
    registry.register(_OfModelsThere(scoreboard.directory))
    registry.register(_Processes(scoreboard))
    return generate_latest(registry)


class _OfModelsThere(Collector):
    """What the processes keep, without the series of versions that none of them has; a file has no end."""

    def __init__(self, directory: Path) -> None:
        self._kept = MultiProcessCollector(None, str(directory))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        families: list[Metric] = list(self._kept.collect())  # type: ignore[no-untyped-call]
        there = {None} | {
            _version(sample)
            for family in families
            if family.name in ("encodery_model_loaded", "encodery_model_refused")
            for sample in family.samples
            if sample.value
        }
        for family in families:
            family.samples = [one for one in family.samples if _version(one) in there]
        return families


def _version(sample: Sample) -> tuple[str, str] | None:
    """The version of a model that a sample is of; None for one of something else."""
    labels = sample.labels
    return (labels["model"], labels["version"]) if labels.keys() >= {"model", "version"} else None


class _Processes(Collector):
    """Counts of the processes that there are and that died, and what they use together."""

    def __init__(self, scoreboard: Scoreboard) -> None:
        self._scoreboard = scoreboard

    def collect(self) -> Iterable[Metric]:
        board = self._scoreboard
        serving = sum(map(board.is_serving, range(len(board))))
        yield GaugeMetricFamily("encodery_workers", "server processes that take requests", value=serving)
        yield CounterMetricFamily(
            "encodery_worker_deaths", "server processes that ended unasked", value=board.total(Field.DEATHS)
        )
        together: dict[str, Metric] = {}
        for pid in board.pids():
            for family in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                _add(together, family)
        yield from together.values()


def _add(together: dict[str, Metric], family: Metric) -> None:
    known = together.setdefault(family.name, family)
    if known is family:
        return
    [one], [other] = known.samples, family.samples
    both = (one.value, other.value)
    value = min(both) if family.name.endswith("start_time_seconds") else sum(both)
    known.samples = [one._replace(value=value)]
