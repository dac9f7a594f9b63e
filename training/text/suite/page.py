"""results.html: one file that opens anywhere, offline. Tables and plots of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from training.html import card as _card
from training.html import document
from training.html import table as _table
from training.svg import Plot, Point, decades, legend, scatter
from training.text.suite.maps import Map
from training.text.suite.results import Results, dimension_table, full_table, marked, remarks, speed_table
from training.text.suite.task import TaskDescription


def page(results: Results, maps: Sequence[Map]) -> str:
    """The whole file."""
    first = results.encoders[0]
    sections = [_head(results), _figures(results)]
    if len(first.dimensions) > 1:
        sections.append(_dimensions(results))
    sections += [_speed(results), _worst(results), _maps(maps), _data(results)]
    title = f"{first.name}/{first.version}, split {results.split}"
    return document(title, sections)


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


def _worst(results: Results) -> str:
    tables = [
        _card(f"<h3>{escape(one.task)}</h3>" + _table([one.columns, *one.rows])) for one in results.worst
    ]
    head = (
        "<h2>Where it is furthest off</h2><p class=quiet>Retrieval: the queries with the lowest nDCG@10, "
        "what came first, and what is relevant. Similarity: the pairs whose place among all differs most.</p>"
    )
    return head + f'<div class="texts">{"".join(tables)}</div>' if tables else ""


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
