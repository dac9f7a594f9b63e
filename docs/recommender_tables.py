"""Writes the tables of docs/recommender.md, from results of the recommender suite on test splits.

docs/results/recommender-retail.json          of training/configs/retail.toml
docs/results/recommender-films.json           of training/configs/films.toml
docs/results/recommender-NAME-before.json     what was published before it was restated
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
FIGURES = ("ndcg@100", "capped recall@20")  # the second in brackets
ALL_FIGURES = ("ndcg@10", "ndcg@20", "ndcg@100", "recall@10", "recall@20", "capped recall@20")
OWN = "encoder"
METHODS: Mapping[str, str] = {
    "popularity": "popularity",
    "itemcf": "ItemCF",
    "ials": "iALS, 128 factors",
    "ease": "EASE",
    "ease, recency": "EASE, history weighted by recency",
    "ease, recency and popularity now": "and popularity of the last days",
    "tfidf": "TF-IDF",
    "ridge from words to ease": "kernel ridge from words to EASE's columns",
    OWN: "**the encoders**",
}
BELOW = (  # how far the encoders are above them
    "ease",
    "ease, recency",
    "ease, recency and popularity now",
    "tfidf",
    "ridge from words to ease",
)
PROTOCOLS: Mapping[str, str] = {"S": "S, new users", "T": "T, later in time", "C": "C, items never seen"}


def suite(name: str) -> str:
    """Lay out every method under every protocol, and how far the encoders are above the best (95 %)."""
    rows = _rows(name)
    users = {protocol: rows[protocol, OWN, FIGURES[0]]["users"] for protocol in PROTOCOLS}
    heads = [f"{PROTOCOLS[protocol]}: {users[protocol]:,} judged" for protocol in PROTOCOLS]
    lines = ["| NDCG@100 (capped Recall@20) | " + " | ".join(heads) + " |", "|---|---|---|---|"]
    titles = [(method, title, _value) for method, title in METHODS.items()]
    titles += [(method, f"above {METHODS[method]}", _above) for method in BELOW]
    for method, title, shown in titles:
        cells = [_both(rows, protocol, method, shown) for protocol in PROTOCOLS]
        if any(cells):
            lines.append(_line(title, cells))
    return "\n".join(lines) + "\n"


def restated(name: str) -> str:
    """Lay out what was published before, beside what it is now: NDCG@100 and capped Recall@20."""
    before, now = _rows(f"{name}-before"), _rows(name)
    lines = ["| | " + " | ".join(f"{title}: before | now" for title in PROTOCOLS.values()) + " |"]
    lines.append("|---" * (1 + 2 * len(PROTOCOLS)) + "|")
    for method, title in METHODS.items():
        cells = [_both(rows, protocol, method, _value) for protocol in PROTOCOLS for rows in (before, now)]
        if any(cells):
            lines.append(_line(title, cells))
    return "\n".join(lines) + "\n"


def figures(name: str) -> str:
    """Lay out every figure of every method, protocol by protocol."""
    rows = _rows(name)
    lines = [_line("", ["", *ALL_FIGURES]), "|---" * (2 + len(ALL_FIGURES)) + "|"]
    for protocol, where in PROTOCOLS.items():
        for method, title in METHODS.items():
            found = [rows.get((protocol, method, figure)) for figure in ALL_FIGURES]
            if all(found):
                lines.append(_line(where, [title, *map(_value, found)]))
    return "\n".join(lines) + "\n"


def _rows(name: str) -> dict[tuple[str, str, str], Any]:
    """Rows of a file of results by protocol, method and figure."""
    content = json.loads((RESULTS / f"recommender-{name}.json").read_text())
    assert content["split"] == "test", "the table says what was judged on test users"
    return {(row["protocol"], row["method"], _figure(content, row)): row for row in content["rows"]}


def _figure(content: Any, row: Any) -> str:
    """The name of a row's figure; version 1 called by `recall@20` what is capped."""
    figure = str(row["figure"])
    return f"capped {figure}" if content["schema_version"] == 1 and figure.startswith("recall") else figure


def _line(title: str, cells: list[str]) -> str:
    return "| " + " | ".join([title, *cells]) + " |"


def _both(rows: Mapping[Any, Any], protocol: str, method: str, shown: Callable[[Any], str]) -> str:
    """Write both figures; nothing for a method that the protocol does not have."""
    found = [rows.get((protocol, method, figure)) for figure in FIGURES]
    return "{} ({})".format(*map(shown, found)) if all(found) else ""


def _value(row: Any) -> str:
    mean = f"{row['value']['mean']:.3f}"
    return f"{mean} ± {row['value']['standard_error']:.3f}" if row["method"] == OWN else mean


def _above(row: Any) -> str:
    gap = row["encoder_above"]
    return f"{gap['low']:+.3f} to {gap['high']:+.3f}"


TABLES: Mapping[str, Callable[[], str]] = {
    f"recommender-{name}{suffix}": partial(table, name)
    for name in ("retail", "films")
    for suffix, table in (("", suite), ("-restated", restated), ("-figures", figures))
}
