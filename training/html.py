"""What pages of results share: one HTML file that opens anywhere, offline; no script, every cell escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

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
.texts td { white-space: normal; text-align: left; vertical-align: top; min-width: 90px; }
.texts .card { margin-top: 12px; }
svg { width: 100%; height: auto; display: block; font: 11px system-ui, sans-serif; }
svg text { fill: var(--quiet); }
svg .grid { stroke: var(--line); } svg .axis { stroke: var(--quiet); }
svg .level { stroke: var(--quiet); stroke-dasharray: 5 4; } svg .level-name { font-size: 10.5px; }
svg.map circle { opacity: .7; }
.legend span { margin-right: 16px; white-space: nowrap; font-size: 13px; } .legend i { display: inline-block;
  width: 10px; height: 10px; border-radius: 5px; margin-right: 5px; }
"""


def document(title: str, sections: Sequence[str]) -> str:
    """The whole file, of sections that are escaped already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def table(rows: Sequence[Sequence[str]], strong: Iterable[int] = ()) -> str:
    """A table with a head; rows with these numbers stand out; what follows ± is small."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    chosen = set(strong)
    body = "".join(
        f"<tr{' class=headline' if number in chosen else ''}>" + "".join(map(_cell, row)) + "</tr>"
        for number, row in enumerate(rows[1:], start=1)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(cell: str) -> str:
    value, sign, error = cell.partition(" ±")
    return f"<td>{escape(value)}" + (f" <small>±{escape(error)}</small></td>" if sign else "</td>")


def card(inner: str) -> str:
    """A box around HTML that is escaped already."""
    return f'<div class="card">{inner}</div>'
