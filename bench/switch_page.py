"""Judges what `bench.switch` saw, and writes the page and the plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SAME = 1e-4  # float32 by other batches; the other version is off by about 1
OVERLOADED = 429
AROUND_S = 0.5  # after a switch, that counts as during it
Answers = Mapping[str, npt.NDArray[np.float64]]


def judged(answers: Answers, switches: Sequence[Mapping[str, Any]], first: int) -> dict[str, Any]:
    """What was wrong, how late answers were, and what switching took.

    Args:
        answers: rows of the callers.
        switches: in order: version, asked_s, done_s, status, private_mib.
        first: the version before them.
    """
    sent_s, done_s, version = answers["sent_s"], answers["done_s"], answers["version"]
    good = answers["status"] == 200
    ms = 1e3 * (done_s - sent_s)
    during = np.zeros(len(sent_s), bool)
    for one in switches:
        during |= (done_s >= one["asked_s"]) & (sent_s <= one["done_s"] + AROUND_S)
    before = done_s < switches[0]["asked_s"]
    took_ms = [1e3 * (one["done_s"] - one["asked_s"]) for one in switches]
    return {
        "answers": len(good),
        "failed": int((~good & (answers["status"] != OVERLOADED)).sum()),
        "refused for want of time (429)": int((answers["status"] == OVERLOADED).sum()),
        "switches that failed": sum(one["status"] != 200 for one in switches),
        "vectors of another version": int((answers["off"][good] > SAME).sum()),
        "of an older version after the acknowledgement": _stale(sent_s, done_s, version, good, switches),
        "of a version before it was asked for": _early(done_s, version, good, switches, first),
        "p99 before, ms": _quantile(ms[good & before], 99),
        "p99 during, ms": _quantile(ms[good & during], 99),
        "p50 before, ms": _quantile(ms[good & before], 50),
        "p50 during, ms": _quantile(ms[good & during], 50),
        "switch, median ms": _quantile(took_ms, 50),
        "switch, slowest ms": _quantile(took_ms, 100),
        "between processes, worst ms": _apart(sent_s, done_s, version, good, switches),
        "private MiB after switches": [round(one["private_mib"]) for one in switches],
        "seconds": _seconds(answers, ms, good),
        "switched at, s": [round(one["done_s"] - float(sent_s.min()), 2) for one in switches],
    }


def _quantile(values: Any, percent: float) -> float:
    return round(float(np.percentile(values, percent)), 1) if len(values) else float("nan")


def _stale(sent_s: Any, done_s: Any, version: Any, good: Any, switches: Sequence[Mapping[str, Any]]) -> int:
    """Answers to requests sent after a switch was acknowledged and before the next was asked for."""
    count = 0
    for one, end_s in _spans(switches):
        asked = good & (sent_s > one["done_s"]) & (sent_s < end_s)
        late = done_s > end_s  # by then the next version, which is the one before as well, may answer
        count += int((asked & ~late & (version != int(one["version"]))).sum())
    return count


def _spans(switches: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], float]]:
    ends = [one["asked_s"] for one in switches[1:]] + [float("inf")]
    return list(zip(switches, ends, strict=True))


def _early(done_s: Any, version: Any, good: Any, switches: Sequence[Mapping[str, Any]], first: int) -> int:
    """Answers of a version that came before anybody asked for it."""
    count, current = 0, first
    begin_s = -float("inf")
    for one in switches:
        span = good & (done_s > begin_s) & (done_s < one["asked_s"])
        count += int((span & (version != current)).sum())
        begin_s, current = one["done_s"] + AROUND_S, int(one["version"])
    return count


def _apart(sent_s: Any, done_s: Any, version: Any, good: Any, switches: Sequence[Mapping[str, Any]]) -> float:
    """How long old and new answers went out beside each other at most.

    A process that answered by the old version did so no earlier than its request was sent, and one that had
    the new one did so before its answer came.
    """
    worst = 0.0
    for one in switches:
        near = good & (done_s > one["asked_s"]) & (sent_s < one["done_s"] + AROUND_S)
        new = near & (version == int(one["version"]))
        old = near & (version != int(one["version"]))
        if new.any() and old.any():
            worst = max(worst, float(sent_s[old].max() - done_s[new].min()))
    return round(1e3 * max(0.0, worst), 1)


def _seconds(answers: Answers, ms: Any, good: Any) -> list[dict[str, Any]]:
    """Per second: quantiles of latency, and answers of each version."""
    began_s = float(answers["sent_s"].min())
    which = np.floor(answers["done_s"] - began_s).astype(int)
    return [
        {
            "p50": _quantile(ms[rows], 50),
            "p99": _quantile(ms[rows], 99),
            "versions": {
                str(int(one)): int((answers["version"][rows] == one).sum())
                for one in np.unique(answers["version"][rows])
            },
        }
        for second in range(which.max() + 1)
        if (rows := good & (which == second)).any()
    ]


def page(results: Mapping[str, Any]) -> str:
    """The figures, as Markdown."""
    modes, machine = results["modes"], results["machine"]
    rows = [name for name in next(iter(modes.values())) if name not in ("seconds", "switched at, s")]
    lines = [
        "# Switching versions under load",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, load average {machine['load_average']:.1f} before, "
        f"{machine['date']}, {machine['commit']}; {results['switches']} switches of each kind, "
        f"{results['processes']} processes, 32 callers at 80 % of the peak; see bench/switch.py.",
        "",
        "| | " + " | ".join(modes) + " |",
        "|---|" + "---|" * len(modes),
    ]
    for row in rows:
        cells = []
        for found in modes.values():
            value = found[row]
            if isinstance(value, list):
                value = f"{value[0]}, then {min(value[1:] or value)} to {max(value[1:] or value)}"
            cells.append(str(value))
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def plot(results: Mapping[str, Any], path: Path) -> None:
    """Latency per second over answers per second, by version."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    modes = results["modes"]
    figure, grid = plt.subplots(2, len(modes), figsize=(5 * len(modes), 5), sharex="col", squeeze=False)
    for column, (mode, found) in enumerate(modes.items()):
        seconds = range(len(found["seconds"]))
        above, below = grid[0][column], grid[1][column]
        for name in ("p50", "p99"):
            above.plot(seconds, [one[name] for one in found["seconds"]], label=name)
        versions = sorted({name for one in found["seconds"] for name in one["versions"]})
        counts = [[one["versions"].get(name, 0) for one in found["seconds"]] for name in versions]
        below.stackplot(seconds, counts, labels=[f"version {name}" for name in versions])
        for at_s in found["switched at, s"]:
            above.axvline(at_s, color="0.8", linewidth=0.5, zorder=0)
        above.set(title=mode, ylabel="ms", ylim=(0, None))
        below.set(xlabel="s", ylabel="answers per second")
        above.legend(fontsize=8)
        below.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
