"""results.html of a recommender: one file that opens anywhere, offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from training.html import card, document, table
from training.recommender.ranking import CAPPED_AT
from training.recommender.suite.part import OWN
from training.recommender.suite.results import ProtocolResults, later_pairs
from training.svg import Plot, Point, legend

TITLES = {"S": "S: new users", "T": "T: known users, later in time", "C": "C: items never seen"}
FIGURES = ("ndcg@100", "ndcg@10", "recall@20", f"capped recall@{CAPPED_AT}", "recall@10")
PLOTTED = 4  # methods beside the encoder, the best ones


def page(protocols: Sequence[ProtocolResults], about: Mapping[str, Any]) -> str:
    """The whole file."""
    title = f"{about['config']}, split {about['split']}"
    return document(title, [_head(about), *(_protocol(one, str(about["metric"])) for one in protocols)])


def _head(about: Mapping[str, Any]) -> str:
    kept = (
        "The test users were not looked at: use these values to choose."
        if about["split"] == "dev"
        else "The test users: report these values, and choose nothing by them."
    )
    return (
        f'<h1>{escape(about["config"])} <span class="split">{escape(about["split"])}</span></h1><p>{kept} '
        "Baselines are tuned where no test user is.</p>"
        f'<p class="quiet">{escape(about["created"])} &middot; {escape(about["machine"])}</p>'
    )


def _protocol(one: ProtocolResults, metric: str) -> str:
    users = one.rows[0].users
    folds = f"{len(one.folds)} folds" if len(one.folds) > 1 else f"fold {one.folds[0]}"
    later = f" {later_pairs(one.later).capitalize()}." if one.later else ""
    return (
        f"<h2>{escape(TITLES.get(one.name, one.name))}</h2>"
        f'<p class="quiet">{users:,} users measured, {folds}; {one.left_out:,} without a target.{later} '
        "± is the standard error; below, how far the encoder is above (95 %, paired bootstrap).</p>"
        + card(table(_methods(one), strong={1}))
        + card("<h3>Chosen settings</h3>" + table(_settings(one, metric)))
        + f'<div class="halves">{card(_lengths(one))}{card(_popularity(one))}</div>'
        + _examples(one)
    )


def _methods(one: ProtocolResults) -> list[list[str]]:
    """A row per method with its figures, and a row with the distance to the encoder."""
    by = {(row.method, row.figure): row for row in one.rows}
    found = [["method", *FIGURES, "coverage", "wall, s"]]
    for method in one.coverage:
        cells = [by[method, figure] for figure in FIGURES]
        values = [f"{cell.value.mean:.4f} ± {cell.value.standard_error:.4f}" for cell in cells]
        seconds = one.seconds.get(method, 0.0) + (one.seconds["training"] if method == OWN else 0.0)
        found.append([method, *values, f"{100 * one.coverage[method]:.1f} %", f"{seconds:,.0f}"])
        gaps = [cell.encoder_above for cell in cells]
        if all(gaps):
            above = [f"{gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})" for gap in gaps if gap]
            found.append(["encoder above it", *above, "", ""])
    return found


def _settings(one: ProtocolResults, metric: str) -> list[list[str]]:
    rows = [["method", "settings", f"{metric} where it was chosen", "tried", "still best at the edge of"]]
    for name, choice in one.chosen.items():
        settings = ", ".join(f"{key} {_said(value)}" for key, value in choice.settings.items())
        rows.append([name, settings, f"{choice.value:.4f}", str(choice.tried), ", ".join(choice.at_edge)])
    return rows


def _said(value: object) -> str:
    """A setting for people: several half-lives are joined, and none is said."""
    return " + ".join(map(str, value)) or "none" if isinstance(value, (tuple, list)) else str(value)


def _best(one: ProtocolResults) -> list[str]:
    """The encoder, and the best methods beside it."""
    means = {row.method: row.value.mean for row in one.rows if row.figure == FIGURES[0] and row.method != OWN}
    return [OWN, *sorted(means, key=lambda method: -means[method])[:PLOTTED]]


def _lengths(one: ProtocolResults) -> str:
    """NDCG@100 against the length of the history, and recall@20 in a table."""
    names, methods = list(one.by_length[OWN]), _best(one)
    places = {name: 2.0**place for place, name in enumerate(names)}  # the axis is logarithmic
    series = {
        method: [Point(places[name], one.by_length[method][name][FIGURES[0]]) for name in names]
        for method in methods
    }
    plot = Plot("entries of the history", FIGURES[0], series, {places[name]: name for name in names})
    rows = [["history", "users", *(f"{method}, recall@20" for method in methods)]]
    for name in names:
        cells = [f"{one.by_length[method][name]['recall@20']:.4f}" for method in methods]
        rows.append([name, f"{one.by_length[OWN][name]['users']:,}", *cells])
    return "<h3>By length of history</h3>" + plot.svg() + legend(methods) + table(rows)


def _popularity(one: ProtocolResults) -> str:
    methods = _best(one)
    rows = [["popularity of the target", *methods]]
    rows += [
        [name, *(f"{one.by_popularity[method][name]:.4f}" for method in methods)]
        for name in one.by_popularity[OWN]
    ]
    return (
        "<h3>By popularity of what was taken</h3>"
        '<p class="quiet">The share of the targets that are among the first 20.</p>' + table(rows)
    )


def _examples(one: ProtocolResults) -> str:
    cards = []
    for number, example in enumerate(one.examples, start=1):
        had = "".join(f"<li>{escape(name)}</li>" for name in example["history"])
        best = "".join(
            f"<li>{'<b>' if hit else ''}{escape(name)}{'</b>' if hit else ''}</li>"
            for name, hit in zip(example["items"], example["is_hit"], strict=True)
        )
        cards.append(
            card(
                f"<h3>User {number}</h3><p class=quiet>newest first</p><ol>{had or '<li>nothing</li>'}</ol>"
                f"<p class=quiet>best first; bold: among the {example['targets']} taken</p><ol>{best}</ol>"
            )
        )
    return f'<h3>What some users are shown</h3><div class="cards">{"".join(cards)}</div>'
