"""results.html of `encodery evaluate audio`: the figures, and what the worst captions found instead."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from training.html import card, document, table
from training.metrics import said

if TYPE_CHECKING:
    from training.audio.suite import Results


def page(results: Results) -> str:
    """The whole file."""
    manifest = results.manifest
    title = f"{manifest.name}/{manifest.version} on {results.name}"
    head = f'<h1>{escape(title)} <span class="split">{results.split}</span></h1>'
    about = f'<p class="quiet">{escape(manifest.description)} Space {escape(manifest.space)}.</p>'
    rows = [["figure", "n", "value"]]
    rows += [[name, str(one.n), said(one)] for name, one in results.figures.items()]
    sections = [head, about, "<h2>Figures</h2>", card(table(rows))]
    if results.worst:
        worst = [["asked", "rank of its own", "found, the nearest first"]]
        worst += [[one.caption, str(one.rank), "; ".join(one.found)] for one in results.worst]
        sections += ["<h2>Captions whose sound was found last</h2>", card(table(worst))]
    return document(title, sections)
