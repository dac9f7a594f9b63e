"""results.html: one file that opens anywhere, offline. Tables and plots of what was found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from training.text.suite.maps import Map
from training.text.suite.results import Results, dimension_table, full_table, marked, remarks, speed_table
from training.text.suite.svg import Plot, Point, decades, legend, scatter
from training.text.suite.task import TaskDescription

STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --quiet: #5b6876; --line: #d8dee6; --page: #f6f8fa;
  --card: #ffffff; --mark: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --quiet: #9aa7b5; --line: #333c47;
  --page: #14181d; --card: #1c2229; --mark: #56b4e9; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 19px; margin: 36px 0 4px; }
h3 { font-size: 15px; margin: 0; }
p { margin: 4px 0; } .quiet { color: var(--quiet); font-size: 13px; }
.split { display: inline-block; padding: 1px 10px; border-radius: 10px; background: var(--mark); color: #fff;
  font-size: 14px; vertical-align: 4px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(360px, 1fr));
  gap: 16px; margin-top: 12px; }
.halves { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; margin-top: 12px; align-items: start; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px;
  overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th { color: var(--quiet); font-weight: 600; }
td, th { padding: 5px 12px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); } tr:last-child td { border-bottom: 0; }
td:first-child, th:first-child, td:nth-child(2), th:nth-child(2) { text-align: left; }
td small { color: var(--quiet); } tr.headline td { font-weight: 600; }
svg { width: 100%; height: auto; display: block; font: 11px system-ui, sans-serif; }
svg text { fill: var(--quiet); }
svg .grid { stroke: var(--line); } svg .axis { stroke: var(--quiet); }
svg .level { stroke: var(--quiet); stroke-dasharray: 5 4; } svg .level-name { font-size: 10.5px; }
svg.map circle { opacity: .7; }
.legend span { margin-right: 16px; white-space: nowrap; font-size: 13px; } .legend i { display: inline-block;
  width: 10px; height: 10px; border-radius: 5px; margin-right: 5px; }
"""


def page(results: Results, maps: Sequence[Map]) -> str:
    """The whole file."""
    first = results.encoders[0]
    sections = [_head(results), _figures(results)]
    if len(first.dimensions) > 1:
        sections.append(_dimensions(results))
    sections += [_speed(results), _maps(maps), _data(results)]
    title = f"{first.name}/{first.version}, split {results.split}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _head(results: Results) -> str:
    first = results.encoders[0]
    others = ", ".join(f"{one.name}/{one.version}" for one in results.encoders[1:])
    kept = (
        "The test split was not looked at: use these values to choose."
        if results.split == "dev"
        else "The test split: report these values, and choose nothing by them."
    )
    beside = f" Beside it: {escape(others)}." if others else ""
    return (
        f'<h1>{escape(first.name)}/{escape(first.version)} <span class="split">{results.split}</span></h1>'
        f"<p>{kept}{beside}</p>"
        f'<p class="quiet">{escape(first.space)} &middot; {escape(results.created)} &middot; '
        f"{escape(results.machine)} &middot; {first.texts:,} texts</p>"
    )


def _figures(results: Results) -> str:
    heads = {(marked(task), task.headline) for task in results.tasks}
    table = full_table(results)
    return (
        "<h2>Figures at full length</h2>"
        '<p class="quiet">Larger is better; ± is the standard error; bold is the metric to choose by.</p>'
        + _card(
            _table(table, strong={row for row, cells in enumerate(table) if (cells[0], cells[1]) in heads})
        )
    )


def _dimensions(results: Results) -> str:
    first = results.encoders[0]
    panels = (
        _card(f"<h3>{escape(marked(task))}</h3>" + _dimension_plot(results, task).svg())
        for task in results.tasks
    )
    return (
        f"<h2>Quality against dimension</h2><p class=quiet>{escape(first.name)} cut to fewer dimensions; "
        "dashed: others at full length.</p>"
        + _card(_table(dimension_table(results)))
        + f'<div class="cards">{"".join(panels)}</div>'
    )


def _dimension_plot(results: Results, task: TaskDescription) -> Plot:
    first, found = results.encoders[0], results.of(task, task.headline)
    own = [found[first.name, dim] for dim in first.dimensions]
    full = {(one.name, one.dimensions[0]) for one in results.encoders[1:]}
    return Plot(
        x_label="dimensions",
        y_label=task.headline,
        series={
            first.name: [
                Point(
                    float(row.dimension or 1),
                    row.value,
                    row.standard_error,
                    f"{row.dimension}: {row.value:.4f}",
                )
                for row in own
            ]
        },
        ticks={float(dim): str(dim) for dim in first.dimensions},
        levels={name: row.value for (name, dim), row in found.items() if dim is None or (name, dim) in full},
    )


def _speed(results: Results) -> str:
    speeds = [one.texts_per_s for one in results.encoders]
    series = {
        task.name: [
            Point(one.texts_per_s, row.value, row.standard_error, f"{one.name}, {task.name}: {row.value:.4f}")
            for one in results.encoders
            if (row := results.of(task, task.headline)[one.name, one.dimensions[0]])
        ]
        for task in results.tasks
    }
    plot = Plot("texts/s", "headline metric", series, decades(speeds))
    return (
        "<h2>Quality against speed</h2>"
        '<p class="quiet">The headline of each task; every encoder on the same sample of texts.</p>'
        f'<div class="halves">{_card(plot.svg() + legend(list(series)))}'
        f"{_card(_table(speed_table(results)))}</div>"
    )


def _maps(maps: Sequence[Map]) -> str:
    if not maps:
        return ""
    panels = (
        _card(
            f"<h3>{escape(one.about.name)}</h3><p class=quiet>{len(one.examples.texts):,} texts of "
            f"{len(set(one.examples.labels))} of its {one.labels} labels; the two directions hold "
            f"{100 * one.explained:.0f} % of the variance</p>"
            + scatter([(float(x), float(y)) for x, y in one.places], one.examples.labels, one.examples.texts)
            + legend(sorted(set(one.examples.labels)))
        )
        for one in maps
    )
    return (
        "<h2>Maps</h2><p class=quiet>Principal components of the full vectors; point at a dot to read it.</p>"
        f'<div class="cards">{"".join(panels)}</div>'
    )


def _data(results: Results) -> str:
    head = ["task", "kind", "of", "split", "sha256 of the files"]
    rows = [[marked(task), task.kind, task.size, task.split, task.sha256[:16]] for task in results.tasks]
    said = "".join(f"<p>{escape(one)}</p>" for one in remarks(results))
    return "<h2>Data</h2>" + _card(_table([head, *rows])) + (_card(said) if said else "")


def _table(table: Sequence[Sequence[str]], strong: Iterable[int] = ()) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table[0])
    chosen = set(strong)
    body = "".join(
        f"<tr{' class=headline' if number in chosen else ''}>" + "".join(map(_cell, row)) + "</tr>"
        for number, row in enumerate(table[1:], start=1)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(cell: str) -> str:
    value, sign, error = cell.partition(" ±")
    return f"<td>{escape(value)}" + (f" <small>±{escape(error)}</small></td>" if sign else "</td>")


def _card(inner: str) -> str:
    return f'<div class="card">{inner}</div>'
