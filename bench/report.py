"""Turns the results into a table, a page and plots. Prints only what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.workloads import LONE_EXTRA_MS, WORKLOADS, Workload

Results = Mapping[str, Any]


def write(results: Results, out: Path) -> None:
    """Write table.md and the plots."""
    (out / "table.md").write_text("\n".join(_page(results)) + "\n")
    if results["open"]:
        _plot_open(results, out / "latency.svg")
    _plot_servers(results, out / "servers.svg")


def _page(results: Results) -> Iterator[str]:
    machine = results["machine"]
    rounds = 1 + max(one["round"] for one in results["rounds"])
    others = statistics.median(one["others_cores"] for one in results["rounds"])
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, "
        f"commit `{machine['commit']}`, {machine['date']}; medians of {rounds} interleaved rounds."
    )
    yield (
        f"Meanwhile other processes of the machine used {others:.1f} cores (median); "
        "figures per CPU-second are of the server's own CPU time."
    )
    yield ""
    yield from _rows(results)
    yield ""
    yield from _ceilings(results)
    yield ""
    if results["open"]:
        yield from _open(results)
    if results["skipped"]:
        yield ""
        yield from (f"- Skipped: {name}: {reason}." for name, reason in results["skipped"].items())
    yield ""
    memory = ", ".join(f"{name} {mib} MiB" for name, mib in results["memory_mib"].items())
    yield f"Memory after the load: {memory}."


def _rows(results: Results) -> Iterator[str]:
    yield "| work | server | texts/s | per CPU-second | p50 ms | p99 ms | bar | reached |"
    yield "|---|---|---|---|---|---|---|---|"
    for workload in WORKLOADS:
        names = dict.fromkeys(one["server"] for one in results["rounds"] if one["row"] == workload.name)
        for name in names:
            runs = [one for one in results["rounds"] if (one["row"], one["server"]) == (workload.name, name)]
            bar, reached = _bar(results, workload, runs) if name == "encodery" else ("", "")
            yield (
                f"| {workload.name} | {name} | {_median(runs, 'per_s'):.0f} | "
                f"{_median(runs, 'per_cpu_s'):.0f} | {_latency(runs, 'p50'):.1f} | "
                f"{_latency(runs, 'p99'):.1f} | {bar} | {reached} |"
            )


def _bar(results: Results, workload: Workload, runs: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the bar and what was reached, by CPU time and by the clock: medians of ratios within rounds."""
    if workload.per_cpu_s is not None:
        return f"{workload.per_cpu_s:.0f} per CPU-second", f"{_median(runs, 'per_cpu_s'):.0f}"
    ceilings = [ceilings.get(f"{workload.ceiling} {workload.model}") for ceilings in results["ceilings"]]
    if workload.ceiling == "lone":
        best = [min(value for key, value in one.items() if key.startswith("p50")) for one in ceilings]
        extra = statistics.median(run["latency_ms"]["p50"] - one for run, one in zip(runs, best, strict=True))
        return f"at most {LONE_EXTRA_MS} ms over the bare forward pass", f"{extra:+.1f} ms"
    by_cpu = statistics.median(
        run["per_cpu_s"] / one["per_cpu_s"] for run, one in zip(runs, ceilings, strict=True)
    )
    by_clock = statistics.median(run["per_s"] / one["per_s"] for run, one in zip(runs, ceilings, strict=True))
    what = "of raw" if workload.ceiling == "forward" else "of the tokenizers library alone"
    return f"{workload.share:.2f} {what}", f"{by_cpu:.2f} by CPU time, {by_clock:.2f} by the clock"


def _ceilings(results: Results) -> Iterator[str]:
    yield "| ceiling | per second | per CPU-second |"
    yield "|---|---|---|"
    for key in results["ceilings"][0]:
        found = [ceilings[key] for ceilings in results["ceilings"]]
        if "per_s" in found[0]:
            unit = " (GF, one thread)" if key == "sgemm" else f" ({found[0].get('policy', 'texts')})"
            rate, cpu = _median(found, "per_s"), _median(found, "per_cpu_s")
            yield f"| {key}{unit} | {rate:.0f} | {cpu:.0f} |"
        else:
            for threads in found[0]:
                yield f"| {key}, {threads} | {_median(found, threads):.1f} | |"


def _open(results: Results) -> Iterator[str]:
    yield "| open loop | offered/s | of the closed loop | done/s | p50 ms | p99 ms | refused | late |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in results["open"]:
        refused = sum(count for status, count in one["statuses"].items() if status != "200")
        yield (
            f"| {one['row']} | {one['offered_per_s']:.0f} | {one['share']:.2f} | {one['per_s']:.0f} | "
            f"{one['latency_ms']['p50']:.1f} | {one['latency_ms']['p99']:.1f} | {refused} | {one['late']} |"
        )


def _median(runs: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(statistics.median(run[key] for run in runs))


def _latency(runs: Sequence[Mapping[str, Any]], quantile: str) -> float:
    return float(statistics.median(run["latency_ms"][quantile] for run in runs))


def _plot_open(results: Results, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    for name in dict.fromkeys(one["row"] for one in results["open"]):
        points = [one for one in results["open"] if one["row"] == name]
        axes.plot(
            [one["share"] for one in points], [one["latency_ms"]["p99"] for one in points], "o-", label=name
        )
    axes.set(xlabel="offered load, share of the closed loop's rate", ylabel="p99 ms", yscale="log")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _plot_servers(results: Results, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    measured = {one["row"] for one in results["rounds"]}
    rows = [workload.name for workload in WORKLOADS if workload.name in measured]
    servers = list(dict.fromkeys(one["server"] for one in results["rounds"]))
    figure, axes = plt.subplots(figsize=(8, 0.6 * len(rows) + 1.5))
    height = 0.8 / len(servers)
    for number, server in enumerate(servers):
        for place, row in enumerate(rows):
            runs = [one for one in results["rounds"] if (one["row"], one["server"]) == (row, server)]
            if runs:
                axes.barh(
                    place + number * height,
                    _median(runs, "per_cpu_s"),
                    height,
                    color=f"C{number}",
                    label=server,
                )
    handles = {text: handle for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    axes.legend(handles.values(), handles.keys())
    axes.set(xscale="log", xlabel="texts per CPU-second of the server")
    axes.set_yticks([place + 0.4 for place in range(len(rows))], rows)
    axes.invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
